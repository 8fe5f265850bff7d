// SPDX-License-Identifier: Apache-2.0
import { expect, it, vi } from 'vitest';
import { BoundedLog } from './bounded_log.js';
import type { Logger } from './logger.js';

it('tells so many lines of an interval one by one, and how many were left out', () => {
  vi.useFakeTimers();
  const lines: unknown[] = [];
  const add = (facts: object, message: string) => lines.push({ ...facts, message });
  const log = new BoundedLog({ warn: add, error: add } as unknown as Logger, 'more of them', 2);
  const say = (times: number) => {
    for (let i = 1; i <= times; i++) log.say('error', { i }, 'wrong');
  };
  say(5);
  expect(lines).toEqual([
    { i: 1, message: 'wrong' },
    { i: 2, message: 'wrong' },
  ]);
  vi.advanceTimersByTime(10_000);
  expect(lines.slice(2)).toEqual([{ lines: 3, message: 'more of them' }]);
  say(1);
  vi.advanceTimersByTime(10_000);
  expect(lines.slice(3)).toEqual([{ i: 1, message: 'wrong' }]);
  vi.useRealTimers();
});
