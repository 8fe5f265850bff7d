// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLogger } from '../logger.js';
import { RefusedByApi } from './api.js';
import { WriteQueue } from './write_queue.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function queueOf(write: (key: string, item: number) => Promise<void>) {
  const log = createLogger('silent');
  const warned = vi.spyOn(log, 'warn');
  const writing = { write, rights: 'create on things', complaint: 'things cannot be written' };
  return { queue: new WriteQueue<number>(writing, log), warned };
}

it('writes in order, and what was replaced while it was written once more', async () => {
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
  expect(written).toEqual(['a 1', 'a 3', 'b 2']);
  expect(queue.size).toBe(0);
});

it('tries again after a while, says once why it cannot write, and which right is missing', async () => {
  const errors = [new Error('no connection'), new Error('no connection'), new RefusedByApi(403, 'forbidden')];
  let tries = 0;
  const { queue, warned } = queueOf(async () => {
    tries++;
    const error = errors.shift();
    if (error) throw error;
  });
  queue.put('a', 1);
  await vi.advanceTimersByTimeAsync(1000);
  expect([tries, queue.failures, queue.problem]).toEqual([1, 1, 'no connection']);
  await vi.advanceTimersByTimeAsync(5000);
  expect(tries).toBe(2);
  expect(warned).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(5000);
  expect(queue.problem).toMatch(/^missing RBAC: the server's service account needs create on things \(/);
  expect(warned).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(5000);
  expect([tries, queue.size, queue.problem]).toEqual([4, 0, null]);
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
