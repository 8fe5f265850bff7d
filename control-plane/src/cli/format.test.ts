// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { bytes, clean, csvLine, duration, endpoint, localTime, table } from './format.js';

test('columns are as wide as their widest cell, numbers stand right', () => {
  const rows = [
    [{ text: 'shop/web/nginx' }, { text: '9', right: true }, { text: 'x' }],
    [{ text: 'db' }, { text: '1024', right: true }, { text: 'long last cell' }],
  ];
  expect(table(['CONTAINER', 'SENT', 'END'], rows, false)).toBe(
    'CONTAINER       SENT  END\nshop/web/nginx     9  x\ndb              1024  long last cell\n',
  );
});

test('colours are there only when they are asked for', () => {
  const rows = [[{ text: 'denied', color: 'red' as const }]];
  expect(table(['VERDICT'], rows, false)).not.toContain('\u001b');
  expect(table(['VERDICT'], rows, true)).toContain('\u001b[31mdenied\u001b[0m');
});

test('names cannot reach the terminal as control characters', () => {
  expect(clean('a\u001b[31mb\u0007\n')).toBe('a?[31mb??');
});

test.each([
  [null, '-'],
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [15_400, '15 kB'],
  [999_700, '1.0 MB'],
  [3.2e12, '3.2 TB'],
])('%s bytes are %s', (count, text) => expect(bytes(count)).toBe(text));

test.each([
  [null, '-'],
  [17, '17 µs'],
  [2900, '2.9 ms'],
  [48_000, '48 ms'],
  [1_500_000, '1.5 s'],
  [61e6, '1m01s'],
  [2 * 3600e6, '2h00m'],
  [50 * 3600e6, '2d2h'],
])('%s microseconds are %s', (us, text) => expect(duration(us)).toBe(text));

test('addresses with ports can be read back', () => {
  expect(endpoint('10.0.0.5', 443)).toBe('10.0.0.5:443');
  expect(endpoint('fd00::5', 443)).toBe('[fd00::5]:443');
  expect(endpoint('10.0.0.5', null)).toBe('10.0.0.5');
});

test('times of another day carry their date', () => {
  const now = new Date(2026, 1, 3, 12, 0, 0);
  expect(localTime(new Date(2026, 1, 3, 9, 8, 7).toISOString(), now)).toBe('09:08:07');
  expect(localTime(new Date(2026, 1, 2, 9, 8, 7).toISOString(), now)).toBe('2026-02-02 09:08:07');
});

test('csv follows RFC 4180, and no cell runs as a formula', () => {
  expect(csvLine(['a,b', 'say "hi"', 7, null, '=1+1', '-x'])).toBe(`"a,b","say ""hi""",7,,'=1+1,'-x\r\n`);
});
