// SPDX-License-Identifier: Apache-2.0
//
// Questions to one agent, and who waits for the answers.
import type { types } from '../ingest/wire.js';

export type Question = Omit<types.cellwall.v1.Question.$Properties, 'id'>;
export type Answer = types.cellwall.v1.Answer.$Properties;

const PATIENCE_MS = 2000;
/** More at once are answered with null. */
const MOST_WAITING = 100;

export class Questions {
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  #next = 1;

  /** send: puts the question, under its number, on the wire. */
  ask(send: (id: number) => void): Promise<Answer | null> {
    if (this.#waiting.size >= MOST_WAITING) return Promise.resolve(null);
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(id, null), PATIENCE_MS);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      send(id);
    });
  }

  /** An answer that nobody waits for any more is dropped. */
  answered(answer: Answer): void {
    this.#settle(Number(answer.id ?? 0), answer);
  }

  close(): void {
    for (const id of this.#waiting.keys()) this.#settle(id, null);
  }

  #settle(id: number, answer: Answer | null): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
