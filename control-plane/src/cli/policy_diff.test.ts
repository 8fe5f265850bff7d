// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { diffLines } from './commands/policy_diff.js';

it('keeps what both have, and puts what goes before what comes', () => {
  expect(diffLines(['a', 'b', 'c', 'd'], ['a', 'x', 'c', 'd', 'e'])).toEqual([
    [' ', 'a'],
    ['-', 'b'],
    ['+', 'x'],
    [' ', 'c'],
    [' ', 'd'],
    ['+', 'e'],
  ]);
  expect(diffLines([], ['a'])).toEqual([['+', 'a']]);
  expect(diffLines(['a'], [])).toEqual([['-', 'a']]);
});
