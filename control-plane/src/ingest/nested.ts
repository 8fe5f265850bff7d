// SPDX-License-Identifier: Apache-2.0
//
// An empty message within a list takes two bytes on the wire and a hundred times that when it is decoded. So lists of messages and
// strings are counted before, in the bytes.
/** By field number: what is counted; an object: whose own fields are counted too. */
export interface Lists {
  readonly [field: number]: true | Lists;
}

/** A report of 40,000 open flows has less than half of it. */
const MOST_NESTED = 1 << 18;

const FACTS: Lists = { 10: true, 11: true, 13: true };
const CONTAINERS: Lists = { 1: FACTS };
const COLUMNS: Lists = { 2: true, 4: true };
export const FLOW_BATCH: Lists = {
  3: COLUMNS,
  4: { 2: COLUMNS, 3: true },
  6: true,
  7: { 7: true },
  10: true,
  13: CONTAINERS,
};
export const STREAM_REQUEST: Lists = { 1: { 6: true, 10: true }, 2: FLOW_BATCH, 3: CONTAINERS, 4: { 2: true } };

function bad(message: string): never {
  throw new Error(message);
}

class Walk {
  readonly #data: Uint8Array;
  #at = 0;
  count = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#data[this.#at++];
      if (byte === undefined) break;
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return bad('a number has no end');
  }

  walk(lists: Lists, end: number): void {
    while (this.#at < end) {
      const tag = this.#varint();
      const wire = tag & 7;
      if (wire === 0) this.#varint();
      else if (wire === 1) this.#at += 8;
      else if (wire === 5) this.#at += 4;
      else if (wire === 2) this.#field(lists[Math.floor(tag / 8)], end);
      else bad(`wire type ${wire}`);
    }
    if (this.#at > end) bad('a field goes beyond its message');
  }

  #field(list: true | Lists | undefined, end: number): void {
    const length = this.#varint();
    const next = this.#at + length;
    if (next > end) bad('a field goes beyond its message');
    if (list && ++this.count > MOST_NESTED) bad(`more than ${MOST_NESTED} entries in its lists`);
    if (list && list !== true) this.walk(list, next);
    this.#at = next;
  }
}

/** Throws: there are too many, or the message is malformed. */
export function checkNested(data: Uint8Array, lists: Lists): void {
  new Walk(data).walk(lists, data.length);
}
