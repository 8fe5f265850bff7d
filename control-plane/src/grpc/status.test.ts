// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { detailsOf } from './status.js';

it('gives details that can be a header, whatever they quote', () => {
  const halves = ['😀'.slice(0, 1), '😀'.slice(1), `${'a'.repeat(999)}😀`];
  for (const text of halves) expect(() => encodeURI(detailsOf(text))).not.toThrow();
  expect(detailsOf('node 😀 is not known')).toBe('node 😀 is not known');
  expect(detailsOf('a'.repeat(100_000))).toHaveLength(1000);
});
