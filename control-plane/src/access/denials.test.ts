// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { addressKey, Buckets } from './buckets.js';
import { Denials } from './denials.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function log() {
  const written: { address: unknown; count: unknown; reason: unknown }[] = [];
  const denials = new Denials(
    async (_actor, _action, _subject, { address, count, reason }) => written.push({ address, count, reason }),
    () => {},
  );
  const add = (address: string, reason = 'unknown token') =>
    denials.add({ actor: 'nobody', address, reason, subject: 'GET /' });
  return { written, denials, add };
}

it('writes the first denial at once, and the others of the minute as one with their number', () => {
  const { written, add } = log();
  for (let i = 0; i < 1000; i++) add('10.0.0.1');
  add('10.0.0.2');
  expect(written).toMatchObject([
    { address: '10.0.0.1', count: 1 },
    { address: '10.0.0.2', count: 1 },
  ]);
  vi.advanceTimersByTime(60_000);
  expect(written.slice(2)).toMatchObject([{ address: '10.0.0.1', count: 999 }]);
  add('10.0.0.1');
  expect(written).toHaveLength(4);
});

it('keeps the number of entries small whatever comes from wherever, and counts every denial', () => {
  const { written, denials, add } = log();
  for (let i = 0; i < 50_000; i++) add(`10.0.${i % 100}.${i % 250}`);
  denials.close();
  expect(written.length).toBeLessThanOrEqual(64 * 2 + 1);
  expect(written.reduce((sum, { count }) => sum + Number(count), 0)).toBe(50_000);
  expect(denials.count).toBe(50_000);
});

it('gives so much at once, and then so much a second', () => {
  const buckets = new Buckets(2, 4, 100);
  expect(Array.from({ length: 6 }, () => buckets.take('a', 0))).toEqual([0, 0, 0, 0, 1, 1]);
  expect(buckets.take('b', 0)).toBe(0);
  expect([buckets.take('a', 500), buckets.take('a', 500)]).toEqual([0, 1]);
  expect(Array.from({ length: 5 }, () => buckets.take('a', 1e6))).toEqual([0, 0, 0, 0, 1]);
});

it('forgets the key that was used least recently when there are too many', () => {
  const buckets = new Buckets(1, 1, 2);
  for (const key of ['a', 'b', 'a', 'c']) buckets.take(key, 0);
  expect(buckets.size).toBe(2);
  expect([buckets.take('a', 0), buckets.take('b', 0)]).toEqual([1, 0]);
});

it.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::6', '2001:db8:0:0::/64'],
])('%s is counted as %s', (address, key) => expect(addressKey(address)).toBe(key));
