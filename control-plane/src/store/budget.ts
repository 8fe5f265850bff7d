// SPDX-License-Identifier: Apache-2.0
//
// What one question may cost. SQLite cannot be interrupted from here, but it calls a function of ours now and then: queries that
// read many rows have COSTS in their WHERE, which counts about one row in 1,024 and throws when it is enough.
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';

export interface Cost {
  readonly seconds: number;
  readonly rows: number;
}

const EVERY = 1024;

/** A condition that always holds, first in a WHERE; `id` is a column that differs from row to row. */
export const costs = (id: string): string => `(${id} & ${EVERY - 1} OR cellwall_spend())`;

export class Budget {
  readonly #most: Cost;
  #rows = 0;
  #untilMs = Number.POSITIVE_INFINITY;

  constructor(most: Cost) {
    this.#most = most;
  }

  /** A question begins. */
  begin(): void {
    this.#rows = 0;
    this.#untilMs = performance.now() + this.#most.seconds * 1000;
  }

  /** For each connection once. */
  install(database: Database): void {
    database.function('cellwall_spend', { deterministic: false, directOnly: true }, () => {
      this.#rows += EVERY;
      this.check();
      return 1;
    });
  }

  /** Between two queries of one question. */
  check(): void {
    const { seconds, rows } = this.#most;
    const late = performance.now() > this.#untilMs;
    if (!late && this.#rows <= rows) return;
    throw new CellwallError(
      'too_expensive',
      `this was stopped after ${late ? `${seconds} s` : `${rows.toLocaleString('en')} rows`}; ask for less: a shorter time (--since, --until), a container, a namespace or a node`,
    );
  }
}

/** Outside of the reader thread nothing is limited. */
export const unlimited = (): Budget =>
  new Budget({ seconds: Number.POSITIVE_INFINITY, rows: Number.POSITIVE_INFINITY });
