// SPDX-License-Identifier: Apache-2.0
import { BoundedLog } from '../bounded_log.js';
import type { Logger } from '../logger.js';
import { Backoff, type BackoffTimes } from './backoff.js';
import { failureOf, isForbidden } from './write_failure.js';

const BETWEEN_MS = 50;
/** Of an object that was refused; others are written meanwhile. */
export const OBJECT_WAIT: BackoffTimes = { firstMs: 5000, longestMs: 300_000 };
/** Of all, when it is not the object's fault. */
export const PAUSE: BackoffTimes = { firstMs: 5000, longestMs: 60_000 };
/** Of a pause that the API server asks for. */
export const RETRY_AFTER = { shortestMs: 1000, longestMs: 300_000 };

export interface Writing<T> {
  /** Throws what is worth another try. */
  readonly write: (key: string, item: T) => Promise<void>;
  /** What the server's service account needs for it, as "patch on ...". */
  readonly rights: string;
  /** What is logged with each new problem. */
  readonly complaint: string;
}

interface Entry<T> {
  item: T;
  readonly backoff: Backoff;
  /** Not before. */
  dueMs: number;
  /** Why its last try failed; undefined: it did not. */
  trouble: { readonly kind: string; readonly problem: string } | undefined;
}

/**
 * Writes to the API server, one after the other and not more than 20 a second; of an object that changes faster than it can be told,
 * only the last counts. One that fails goes to the end and waits, longer each time, also when it changes meanwhile; where all would
 * fail, all wait.
 */
export class WriteQueue<T> {
  readonly #writing: Writing<T>;
  readonly #complaints: BoundedLog;
  readonly #waiting = new Map<string, Entry<T>>();
  readonly #pause = new Backoff(PAUSE);
  /** For all. */
  #notBeforeMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #busy: Promise<void> = Promise.resolve();
  #closed = false;
  /** What makes all wait. */
  #trouble: string | undefined;
  failures = 0;

  constructor(writing: Writing<T>, log: Logger) {
    this.#writing = writing;
    this.#complaints = new BoundedLog(log, `more problems: ${writing.complaint}`);
  }

  /** Why something cannot be written; null: nothing has failed that was not written since. */
  get problem(): string | null {
    const [first, ...others] = this.#failing();
    if (!first) return null;
    return others.length > 0 ? `${first}; and ${others.length} more objects` : first;
  }

  #failing(): string[] {
    return [...this.#waiting.values()].flatMap(({ trouble }) => trouble?.problem ?? []);
  }

  get size(): number {
    return this.#waiting.size;
  }

  put(key: string, item: T): void {
    const known = this.#waiting.get(key);
    if (known) {
      known.item = item;
      return;
    }
    this.#waiting.set(key, { item, backoff: new Backoff(OBJECT_WAIT), dueMs: 0, trouble: undefined });
    this.#schedule();
  }

  delete(key: string): void {
    this.#waiting.delete(key);
  }

  /** Of objects that are gone, nothing is written any more. */
  keep(stays: { has(key: string): boolean }): void {
    for (const key of this.#waiting.keys()) if (!stays.has(key)) this.#waiting.delete(key);
  }

  #schedule(): void {
    if (this.#closed || this.#isWriting || this.#waiting.size === 0) return;
    clearTimeout(this.#timer);
    let dueMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#waiting.values()) {
      dueMs = Math.min(dueMs, entry.dueMs);
      if (dueMs <= this.#notBeforeMs) break;
    }
    const ms = Math.max(0, Math.max(dueMs, this.#notBeforeMs) - performance.now());
    this.#timer = setTimeout(() => {
      this.#busy = this.#next();
    }, Math.ceil(ms));
  }

  async #next(): Promise<void> {
    const nowMs = performance.now();
    for (const [key, entry] of this.#waiting) {
      if (entry.dueMs > nowMs) continue;
      this.#isWriting = true;
      await this.#write(key, entry);
      this.#isWriting = false;
      break;
    }
    this.#schedule();
  }

  async #write(key: string, entry: Entry<T>): Promise<void> {
    const { item } = entry;
    let waitMs = BETWEEN_MS;
    try {
      await this.#writing.write(key, item);
      this.#pause.reset();
      this.#trouble = undefined;
      entry.backoff.reset();
      entry.trouble = undefined;
      if (entry.item === item && this.#waiting.get(key) === entry) this.#waiting.delete(key);
    } catch (error) {
      waitMs = this.#failed(entry, error as Error);
    }
    this.#notBeforeMs = performance.now() + waitMs;
    this.#moveToEnd(key, entry);
  }

  #moveToEnd(key: string, entry: Entry<T>): void {
    if (this.#waiting.get(key) !== entry) return;
    this.#waiting.delete(key);
    this.#waiting.set(key, entry);
  }

  /** Returns how long all wait. */
  #failed(entry: Entry<T>, error: Error): number {
    this.failures++;
    const { kind, ofAll, ofObject, retryAfterMs } = failureOf(error);
    const problem = isForbidden(error)
      ? `missing RBAC: the server's service account needs ${this.#writing.rights} (${error.message})`
      : error.message;
    if (kind !== this.#trouble && kind !== entry.trouble?.kind)
      this.#complaints.say('warn', { problem }, this.#writing.complaint);
    entry.trouble = { kind, problem };
    if (ofObject) entry.dueMs = performance.now() + entry.backoff.nextMs();
    if (!ofAll) return BETWEEN_MS;
    this.#trouble = kind;
    if (retryAfterMs === undefined) return this.#pause.nextMs();
    return Math.min(RETRY_AFTER.longestMs, Math.max(RETRY_AFTER.shortestMs, retryAfterMs));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#busy;
    this.#complaints.close();
  }
}
