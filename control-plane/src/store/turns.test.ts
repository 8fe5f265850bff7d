// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { asking, Turns } from './turns.js';

it('a caller with many slow questions does not hold up one with a quick one', async () => {
  const turns = new Turns();
  const done: string[] = [];
  const ask = (caller: string, name: string, ms: number) =>
    asking(caller, () =>
      turns.take(async () => {
        await sleep(ms);
        done.push(name);
      }),
    );
  const slow = Array.from({ length: 10 }, (_, index) => ask('slow', `slow ${index}`, 30));
  await sleep(5);
  await ask('quick', 'quick 1', 1);
  await ask('quick', 'quick 2', 1);
  await Promise.all(slow);
  // The one that ran was not interrupted.
  expect(done.slice(0, 3)).toEqual(['slow 0', 'quick 1', 'quick 2']);
});

it('who was away does not come back with a credit', async () => {
  const turns = new Turns();
  const done: string[] = [];
  const ask = (caller: string) => asking(caller, () => turns.take(() => sleep(5).then(() => void done.push(caller))));
  const first = Array.from({ length: 6 }, () => ask('a'));
  await Promise.all(first.slice(0, 3));
  const rest = [...first, ...Array.from({ length: 4 }, () => ask('b'))];
  await Promise.all(rest);
  // Turns alternate: b does not have all of its own before a's next one.
  expect(done.slice(3).join('')).not.toMatch(/^a?bbbb/);
});

it('questions of one caller that wait have a limit; a failure is the failure of one', async () => {
  const turns = new Turns();
  const many = Array.from({ length: 65 }, () => asking('a', () => turns.take(() => sleep(1))));
  expect(() => asking('a', () => turns.take(() => sleep(1)))).toThrow('64 questions');
  await expect(asking('b', () => turns.take(() => Promise.reject(new Error('no'))))).rejects.toThrow('no');
  await Promise.all(many);
  await asking('a', () => turns.take(() => sleep(1)));
  expect(turns.refused).toBe(1);
});
