// SPDX-License-Identifier: Apache-2.0
//
// The callers' ports of rows that are not digested yet: noted as rows are written, since reading them back takes a fifth of the
// time of writing. What was written before this process began is read.
import type { Database, Statement } from 'better-sqlite3';
import { DIRECTIONS, KIND } from '../flows/record.js';
import type { DecodedFlows } from '../ingest/decode.js';
import { CALLER_PORT, INNER_PORT } from './caller_ports.js';

export interface SegmentPorts {
  readonly ports: Uint16Array;
  /** 0: none. */
  readonly inner: Uint16Array;
}

const EGRESS = DIRECTIONS.indexOf('egress');
const isEgress = (kind: number): boolean => ((kind >> KIND.direction.shift) & KIND.direction.mask) === EGRESS;

export class NotedPorts {
  readonly #read: Statement;
  /** Id of the first entry. */
  #firstId: number;
  #ports = new Uint16Array(1 << 16);
  #inner = new Uint16Array(1 << 16);

  constructor(database: Database, nextId: number) {
    this.#firstId = nextId;
    this.#read = database
      .prepare(
        `SELECT f.id, ${CALLER_PORT}, ${INNER_PORT} FROM flows f LEFT JOIN translations t ON t.id = f.id WHERE f.id BETWEEN ? AND ?`,
      )
      .raw();
  }

  add(id: number, skip: number, flows: DecodedFlows): void {
    const { rows, kinds, columns } = flows;
    const base = id - this.#firstId - skip;
    this.#grow(base + rows);
    for (let i = skip; i < rows; i++) {
      const port = isEgress(kinds[i] as number) ? columns.localPort[i] : columns.remotePort[i];
      this.#ports[base + i] = port as number;
      this.#inner[base + i] = 0;
    }
    for (const { row, sourcePort } of flows.translations) {
      if (row < skip || !isEgress(kinds[row] as number)) continue;
      const own = columns.localPort[row] as number;
      this.#ports[base + row] = sourcePort;
      if (sourcePort !== own) this.#inner[base + row] = own;
    }
  }

  /** As many as a commit can hold, and a segment. */
  #grow(entries: number): void {
    if (entries <= this.#ports.length) return;
    const grow = (before: Uint16Array) => {
      const grown = new Uint16Array(Math.max(entries, before.length * 2));
      grown.set(before);
      return grown;
    };
    this.#ports = grow(this.#ports);
    this.#inner = grow(this.#inner);
  }

  of(first: number, last: number): SegmentPorts {
    const length = last - first + 1;
    const from = first - this.#firstId;
    if (from >= 0)
      return { ports: this.#ports.subarray(from, from + length), inner: this.#inner.subarray(from, from + length) };
    const found = { ports: new Uint16Array(length), inner: new Uint16Array(length) };
    const known = Math.max(0, last + 1 - this.#firstId);
    found.ports.set(this.#ports.subarray(0, known), length - known);
    found.inner.set(this.#inner.subarray(0, known), length - known);
    for (const row of this.#read.iterate(first, last - known)) {
      const [id, port, inner] = row as [number, number, number | null];
      found.ports[id - first] = port;
      found.inner[id - first] = inner ?? 0;
    }
    return found;
  }

  /** Rows up to this one are digested. */
  forget(last: number): void {
    const gone = last + 1 - this.#firstId;
    if (gone <= 0) return;
    this.#ports.copyWithin(0, gone);
    this.#inner.copyWithin(0, gone);
    this.#firstId = last + 1;
  }
}
