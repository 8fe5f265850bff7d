// SPDX-License-Identifier: Apache-2.0
import type { ReaderMethods } from './reader.js';
import { Turns } from './turns.js';
import type { WorkerClient } from './worker_client.js';

type Reader = WorkerClient<ReaderMethods>;

/** The reader thread, which takes one question at a time, by turns of the callers. */
export class FairReader {
  readonly #reader: Reader;
  readonly turns = new Turns();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  readonly call: Reader['call'] = (method, ...args) =>
    this.turns.take<unknown>(() => this.#reader.call(method, ...args)) as never;

  close(): Promise<void> {
    return this.#reader.close();
  }
}
