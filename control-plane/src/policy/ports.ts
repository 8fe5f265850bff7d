// SPDX-License-Identifier: Apache-2.0

export interface PortPrefix {
  readonly port: number;
  readonly length: number;
}

/** The fewest prefixes of a 16-bit port that cover first to last. */
export function portPrefixes(first: number, last: number): PortPrefix[] {
  const prefixes: PortPrefix[] = [];
  let at = first;
  while (at <= last) {
    let length = 16;
    while (length > 0) {
      const size = 1 << (16 - length + 1);
      if (at % size !== 0 || at + size - 1 > last) break;
      length--;
    }
    prefixes.push({ port: at, length });
    at += 1 << (16 - length);
  }
  return prefixes;
}
