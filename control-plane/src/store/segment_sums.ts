// SPDX-License-Identifier: Apache-2.0
//
// Sums by hour of one segment. Every row that comes in is looked up here, so a key is ten numbers in a hash table: to make a text of
// each took an eighth of the time in which rows are written.
import type { DecodedAddress, Half } from '../ingest/decode.js';

/** The columns of the table `edges`, in their order: those of the key, then the sums. */
export interface EdgeSum {
  readonly key: readonly Half[];
  readonly flows: number;
  readonly sent: number;
  readonly received: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

/** Hour, container, kind, peer, port, backend, its port, outside, rule and name. The three addresses by their numbers here. */
export const KEY_PARTS = 10;
/** Of a segment, some 3 MiB. One with more is summed up from its rows: it would gain little here. */
const MOST_EDGES = 8192;
const SLOTS = 2 * MOST_EDGES;
const NO_ADDRESS: DecodedAddress = { high: 0, low: 0 };

const hashOf = (key: Float64Array): number => {
  let hash = 0;
  for (let i = 0; i < KEY_PARTS; i++) {
    hash = Math.imul(hash ^ (key[i] as number), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash & (SLOTS - 1);
};

export class SegmentSums {
  readonly #addresses: DecodedAddress[] = [NO_ADDRESS];
  readonly #numbers = new Map<string, number>();
  /** Edge + 1, 0: free. Half of them at most are taken. */
  readonly #slots = new Int32Array(SLOTS);
  readonly #keys: number[] = [];
  readonly #flows: number[] = [];
  readonly #sent: number[] = [];
  readonly #received: number[] = [];
  readonly #firstUs: number[] = [];
  readonly #lastUs: number[] = [];

  /** 0 is no address. */
  numberOf(address: DecodedAddress): number {
    const text = `${address.high},${address.low}`;
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#addresses.push(address) - 1;
    this.#numbers.set(text, number);
    return number;
  }

  /** False: there are too many edges, and this one is not in the sums. */
  add(key: Float64Array, flows: number, sent: number, received: number, endUs: number): boolean {
    const edge = this.#find(key, endUs);
    if (edge < 0) return false;
    this.#flows[edge] = (this.#flows[edge] as number) + flows;
    this.#sent[edge] = (this.#sent[edge] as number) + sent;
    this.#received[edge] = (this.#received[edge] as number) + received;
    if (endUs < (this.#firstUs[edge] as number)) this.#firstUs[edge] = endUs;
    if (endUs > (this.#lastUs[edge] as number)) this.#lastUs[edge] = endUs;
    return true;
  }

  #find(key: Float64Array, endUs: number): number {
    for (let slot = hashOf(key); ; slot = (slot + 1) & (SLOTS - 1)) {
      const edge = (this.#slots[slot] as number) - 1;
      if (edge < 0) return this.#make(slot, key, endUs);
      if (this.#is(edge, key)) return edge;
    }
  }

  #is(edge: number, key: Float64Array): boolean {
    for (let i = 0; i < KEY_PARTS; i++) if (this.#keys[edge * KEY_PARTS + i] !== key[i]) return false;
    return true;
  }

  #make(slot: number, key: Float64Array, endUs: number): number {
    const edge = this.#flows.length;
    if (edge === MOST_EDGES) return -1;
    this.#slots[slot] = edge + 1;
    for (const part of key) this.#keys.push(part);
    for (const sums of [this.#flows, this.#sent, this.#received]) sums.push(0);
    for (const times of [this.#firstUs, this.#lastUs]) times.push(endUs);
    return edge;
  }

  *edges(): Iterable<EdgeSum> {
    for (let edge = 0; edge < this.#flows.length; edge++) {
      const part = (i: number) => this.#keys[edge * KEY_PARTS + i] as number;
      const halves = (i: number) => {
        const { high, low } = this.#addresses[part(i)] as DecodedAddress;
        return [high, low];
      };
      yield {
        key: [part(0), part(1), part(2), ...halves(3), part(4), ...halves(5), part(6), ...halves(7), part(8), part(9)],
        flows: this.#flows[edge] as number,
        sent: this.#sent[edge] as number,
        received: this.#received[edge] as number,
        firstUs: this.#firstUs[edge] as number,
        lastUs: this.#lastUs[edge] as number,
      };
    }
  }
}
