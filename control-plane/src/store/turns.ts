// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is at the reader, which is one thread: the caller who has had least of its time. Slow questions of one caller
// wait for quick ones of the others, and not the other way round.
import { AsyncLocalStorage } from 'node:async_hooks';
import { CellwallError } from '../errors.js';

/** Questions of one caller that wait. More are refused. */
const MOST_WAITING = 64;
/** The server's own questions. */
const SERVER = '';

const current = new AsyncLocalStorage<string>();

/** Questions to the reader within `work` are this caller's. */
export function asking<T>(caller: string, work: () => T): T {
  return current.run(caller, work);
}

interface Line {
  /** Milliseconds of the reader that it has had; counted from where the others were when it came. */
  used: number;
  readonly waiting: (() => Promise<void>)[];
}

export class Turns {
  readonly #lines = new Map<string, Line>();
  #busy = false;
  /** Of who had the turn last. */
  #floor = 0;
  refused = 0;

  /** Runs `ask` when it is its caller's turn. */
  take<T>(ask: () => Promise<T>): Promise<T> {
    const caller = current.getStore() ?? SERVER;
    const line = this.#lines.get(caller) ?? { used: this.#floor, waiting: [] };
    this.#lines.set(caller, line);
    if (caller !== SERVER && line.waiting.length >= MOST_WAITING) {
      this.refused++;
      throw new CellwallError(
        'too_many_requests',
        `${MOST_WAITING} questions of yours wait already; wait for their answers`,
      );
    }
    // Turns that were not used are not saved up.
    if (line.waiting.length === 0) line.used = Math.max(line.used, this.#floor);
    return new Promise<T>((resolve, reject) => {
      line.waiting.push(async () => {
        const began = performance.now();
        await ask().then(resolve, reject);
        line.used += performance.now() - began;
      });
      this.#next();
    });
  }

  #next(): void {
    if (this.#busy) return;
    const ready = [...this.#lines].filter(([, { waiting }]) => waiting.length > 0);
    const [first] = ready.sort(([, a], [, b]) => a.used - b.used);
    if (!first) {
      // Who comes later begins where the others are, so nothing of them has to be kept.
      this.#lines.clear();
      return;
    }
    this.#busy = true;
    this.#floor = Math.max(this.#floor, first[1].used);
    const run = first[1].waiting.shift();
    run?.().then(() => {
      this.#busy = false;
      this.#next();
    });
  }
}
