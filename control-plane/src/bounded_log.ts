// SPDX-License-Identifier: Apache-2.0
//
// Lines of the log that others cause: so many are told one by one, the rest of the interval is summed up.
import type { Logger } from './logger.js';

const MOST_TOLD = 20;
const INTERVAL_MS = 10_000;

export class BoundedLog {
  readonly #log: Logger;
  readonly #summary: string;
  readonly #most: number;
  #told = 0;
  #untold = 0;
  #timer: NodeJS.Timeout | undefined;

  /** summary: of the lines that are left out, whose number is told with it. */
  constructor(log: Logger, summary: string, most = MOST_TOLD) {
    this.#log = log;
    this.#summary = summary;
    this.#most = most;
  }

  say(level: 'info' | 'warn' | 'error', facts: object, message: string): void {
    this.#timer ??= setTimeout(() => this.close(), INTERVAL_MS).unref();
    if (this.#told >= this.#most) {
      this.#untold++;
      return;
    }
    this.#told++;
    this.#log[level](facts, message);
  }

  /** Tells what was left out. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#untold > 0) this.#log.warn({ lines: this.#untold }, this.#summary);
    this.#told = this.#untold = 0;
  }
}
