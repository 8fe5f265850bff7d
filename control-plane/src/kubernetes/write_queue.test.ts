// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLogger } from '../logger.js';
import { RefusedByApi } from './api.js';
import { OBJECT_WAIT, PAUSE, RETRY_AFTER, WriteQueue } from './write_queue.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function queueOf(write: (key: string, item: number) => Promise<void>) {
  const log = createLogger('silent');
  const warned = vi.spyOn(log, 'warn');
  const writing = { write, rights: 'create on things', complaint: 'things cannot be written' };
  return { queue: new WriteQueue<number>(writing, log), warned };
}

/** A queue whose writes fail as `fate` says, and when each was tried. */
function triedBy(fate: (key: string, item: number) => Error | undefined) {
  const tries: { key: string; atMs: number }[] = [];
  const beganMs = performance.now();
  const { queue, warned } = queueOf(async (key, item) => {
    tries.push({ key, atMs: performance.now() - beganMs });
    const error = fate(key, item);
    if (error) throw error;
  });
  return { queue, warned, tries, keys: () => tries.map(({ key }) => key) };
}

const INVALID = new RefusedByApi(422, 'unprocessable');
const FORBIDDEN = new RefusedByApi(403, 'forbidden');

it('writes in turn, and what was replaced while it was written once more, after the others', async () => {
  const written: string[] = [];
  const { queue } = queueOf(async (key, item) => {
    written.push(`${key} ${item}`);
    if (item === 1) queue.put(key, 3);
  });
  queue.put('a', 0);
  queue.put('a', 1);
  queue.put('b', 2);
  expect(queue.size).toBe(2);
  await vi.advanceTimersByTimeAsync(1000);
  expect(written).toEqual(['a 1', 'b 2', 'a 3']);
  expect(queue.size).toBe(0);
});

it('writes at most 20 a second, also of objects that come one by one', async () => {
  const { queue, tries } = triedBy(() => undefined);
  for (let i = 0; i < 990; i++) {
    queue.put(`object ${i}`, i);
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(tries.length).toBeGreaterThanOrEqual(19);
  expect(tries.length).toBeLessThanOrEqual(20);
});

it('writes the others while one is refused again and again, later and later', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const { queue, tries, keys } = triedBy((key) => (key === 'bad' ? INVALID : undefined));
  queue.put('bad', 1);
  for (let i = 0; i < 100; i++) queue.put(`good ${i}`, i);
  await vi.advanceTimersByTimeAsync(101 * 51);
  expect(keys().filter((key) => key !== 'bad')).toHaveLength(100);
  expect([queue.size, queue.problem, queue.failures]).toEqual([1, 'unprocessable', expect.any(Number)]);
  await vi.advanceTimersByTimeAsync(1_200_000);
  const times = tries.filter(({ key }) => key === 'bad').map(({ atMs }) => atMs);
  const waits = times.slice(1).map((atMs, index) => Math.round((atMs - (times[index] as number)) / 1000));
  expect(waits.slice(0, 8)).toEqual([5, 10, 20, 40, 80, 160, 300, 300]);
  expect(OBJECT_WAIT.longestMs).toBe(300_000);
});

it('keeps the wait of a refused object that changes meanwhile, and forgets that of one that is gone', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const { queue, tries } = triedBy(() => INVALID);
  queue.put('bad', 1);
  for (let i = 0; i < 40; i++) {
    await vi.advanceTimersByTimeAsync(100);
    queue.put('bad', i);
  }
  expect(tries).toHaveLength(1);
  queue.delete('bad');
  expect(queue.problem).toBeNull();
  queue.put('bad', 1);
  await vi.advanceTimersByTimeAsync(100);
  expect(tries).toHaveLength(2);
});

it('does not storm an API server that nobody reaches, and goes on with all that waited', async () => {
  let isAway = true;
  const { queue, tries, warned } = triedBy(() => (isAway ? new Error('connection refused') : undefined));
  for (let i = 0; i < 50; i++) queue.put(`object ${i}`, i);
  await vi.advanceTimersByTimeAsync(600_000);
  // Some 5, 10, 20, 40 s, then a minute each, or half of that.
  expect(tries.length).toBeGreaterThan(10);
  expect(tries.length).toBeLessThan(28);
  expect(queue.problem).toMatch(/^connection refused; and \d+ more objects$/);
  expect(warned).toHaveBeenCalledTimes(1);
  isAway = false;
  await vi.advanceTimersByTimeAsync(PAUSE.longestMs + 50 * 51);
  expect([queue.size, queue.problem]).toEqual([0, null]);
});

it('says once which right is missing, however many objects wait for it, and asks rarely', async () => {
  const { queue, tries, warned } = triedBy((key) => new RefusedByApi(403, `${key} is forbidden`));
  for (let i = 0; i < 50; i++) queue.put(`object ${i}`, i);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(tries.length).toBeLessThan(28);
  expect(new Set(tries.map(({ key }) => key)).size).toBeGreaterThan(10);
  expect(queue.problem).toMatch(/^missing RBAC: the server's service account needs create on things \(object /);
  expect(warned).toHaveBeenCalledTimes(1);
});

it('pauses for an object that alone is forbidden, and then writes the others', async () => {
  const { queue, keys } = triedBy((key) => (key === 'bad' ? FORBIDDEN : undefined));
  queue.put('bad', 1);
  for (let i = 0; i < 20; i++) queue.put(`good ${i}`, i);
  await vi.advanceTimersByTimeAsync(PAUSE.firstMs + 21 * 51);
  expect(keys().filter((key) => key !== 'bad')).toHaveLength(20);
});

it('leaves an overloaded API server alone for as long as it asks for, within bounds', async () => {
  const after = [7000, undefined, 0, 86_400_000].map((ms) => new RefusedByApi(429, 'too many requests', ms));
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const { queue, tries } = triedBy(() => after.shift());
  for (let i = 0; i < 5; i++) queue.put(`object ${i}`, i);
  await vi.advanceTimersByTimeAsync(400_000);
  const times = tries.map(({ atMs }) => atMs);
  const pauses = times.slice(1).map((atMs, index) => Math.round((atMs - (times[index] as number)) / 1000));
  const bounded = [RETRY_AFTER.shortestMs / 1000, RETRY_AFTER.longestMs / 1000];
  expect(pauses.slice(0, 4)).toEqual([7, PAUSE.firstMs / 1000, ...bounded]);
});

it('writes nothing of what is gone, or after its end', async () => {
  const written: string[] = [];
  const { queue } = queueOf(async (key) => void written.push(key));
  for (const key of ['a', 'b', 'c']) queue.put(key, 1);
  queue.delete('a');
  queue.keep(new Set(['a', 'c']));
  await vi.advanceTimersByTimeAsync(1000);
  expect(written).toEqual(['c']);
  await queue.close();
  queue.put('d', 1);
  await vi.advanceTimersByTimeAsync(1000);
  expect(written).toEqual(['c']);
});
