// SPDX-License-Identifier: Apache-2.0
//
// Somebody with a good token, who goes on asking while others attack.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerProcess } from './cellwall.js';

const EVERY_MS = 100;

export class HonestAdmin {
  readonly #server: ServerProcess;
  readonly #waits: number[] = [];
  #stopped = false;
  #done: Promise<void>;

  constructor(server: ServerProcess) {
    this.#server = server;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const began = performance.now();
      await this.#server.get('/v1/policies');
      this.#waits.push(performance.now() - began);
      await sleep(EVERY_MS);
    }
  }

  /** How long answers took, each over a connection of its own. Throws when there was none. */
  async stop(): Promise<readonly number[]> {
    this.#stopped = true;
    await this.#done;
    return this.#waits;
  }
}
