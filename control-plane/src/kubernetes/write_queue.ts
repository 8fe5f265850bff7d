// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '../logger.js';
import { RefusedByApi } from './api.js';

const BETWEEN_MS = 50;
/** After a failure. */
const PAUSE_MS = 5000;

export interface Writing<T> {
  /** Throws what is worth another try. */
  readonly write: (key: string, item: T) => Promise<void>;
  /** What the server's service account needs for it, as "patch on ...". */
  readonly rights: string;
  /** What is logged with each new problem. */
  readonly complaint: string;
}

/** Writes to the API server, one after the other and not more than 20 a second; of an object that changes faster than it can be told, only the last counts. */
export class WriteQueue<T> {
  readonly #writing: Writing<T>;
  readonly #log: Logger;
  readonly #waiting = new Map<string, T>();
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> = Promise.resolve();
  #closed = false;
  #problem: string | null = null;
  failures = 0;

  constructor(writing: Writing<T>, log: Logger) {
    this.#writing = writing;
    this.#log = log;
  }

  /** Why the last try failed; null: it did not. */
  get problem(): string | null {
    return this.#problem;
  }

  get size(): number {
    return this.#waiting.size;
  }

  put(key: string, item: T): void {
    this.#waiting.set(key, item);
    this.#soon(0);
  }

  delete(key: string): void {
    this.#waiting.delete(key);
  }

  /** Of objects that are gone, nothing is written any more. */
  keep(stays: { has(key: string): boolean }): void {
    for (const key of this.#waiting.keys()) if (!stays.has(key)) this.#waiting.delete(key);
  }

  #soon(ms: number): void {
    if (this.#closed || this.#timer || this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#busy = this.#next();
    }, ms);
  }

  async #next(): Promise<void> {
    const [entry] = this.#waiting;
    let pause = BETWEEN_MS;
    if (entry) {
      const [key, item] = entry;
      try {
        await this.#writing.write(key, item);
        if (this.#waiting.get(key) === item) this.#waiting.delete(key);
        this.#problem = null;
      } catch (error) {
        this.#failed(error as Error);
        pause = PAUSE_MS;
      }
    }
    this.#timer = undefined;
    this.#soon(pause);
  }

  #failed(error: Error): void {
    this.failures++;
    const isForbidden = error instanceof RefusedByApi && error.status === 403;
    const problem = isForbidden
      ? `missing RBAC: the server's service account needs ${this.#writing.rights} (${error.message})`
      : error.message;
    if (problem !== this.#problem) this.#log.warn({ problem }, this.#writing.complaint);
    this.#problem = problem;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#busy;
  }
}
