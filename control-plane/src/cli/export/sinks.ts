// SPDX-License-Identifier: Apache-2.0
//
// Where exported flows go.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Flow } from '../../flows/record.js';
import { FLOW_CSV_HEAD, flowCsv } from '../flow_listing.js';
import { csvLine } from '../format.js';

export interface Sink {
  /** A line in front of the flows; of JSON lines only. */
  begin?(head: object): void;
  add(flows: readonly Flow[]): Promise<void>;
  finish(): Promise<void>;
}

const LINES = {
  jsonl: { head: '', line: (flow: Flow) => `${JSON.stringify(flow)}\n` },
  csv: { head: csvLine(FLOW_CSV_HEAD), line: (flow: Flow) => csvLine(flowCsv(flow)) },
} as const;

export class TextSink implements Sink {
  readonly #out: Writable;
  readonly #line: (flow: Flow) => string;

  /** file undefined: standard output. */
  constructor(format: keyof typeof LINES, file: string | undefined) {
    this.#out = file === undefined ? process.stdout : createWriteStream(file, { flush: true });
    // What fails is told by the next write, or by finish().
    if (file !== undefined) this.#out.on('error', () => {});
    this.#line = LINES[format].line;
    this.#out.write(LINES[format].head);
  }

  begin(head: object): void {
    this.#out.write(`${JSON.stringify(head)}\n`);
  }

  /** Waits for whoever reads slowly. */
  async add(flows: readonly Flow[]): Promise<void> {
    if (this.#out.errored) throw this.#out.errored;
    if (!this.#out.write(flows.map(this.#line).join(''))) await once(this.#out, 'drain');
  }

  async finish(): Promise<void> {
    if (this.#out === process.stdout) return;
    if (this.#out.errored) throw this.#out.errored;
    this.#out.end();
    await finished(this.#out);
  }
}
