// SPDX-License-Identifier: Apache-2.0
//
// When flows could not be stored. What agents had to drop meanwhile they tell themselves.
import type { Database } from 'better-sqlite3';

export interface Outage {
  readonly beganUs: number;
  /** null: it goes on. */
  readonly endedUs: number | null;
  readonly cause: string;
}

/** Older ones are forgotten. */
export const MOST_OUTAGES = 1000;

export class Outages {
  readonly #database: Database;
  /** One that could not be written down yet. */
  #now: { beganUs: number; cause: string } | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The server ended during one: it is known to have lasted until the next start. */
  closeOld(nowUs: number): void {
    this.#database.prepare('UPDATE outages SET ended_us = ? WHERE ended_us IS NULL').run(nowUs);
  }

  /** Throws when not even this can be written; it is remembered for the end. */
  begin(nowUs: number, cause: string): void {
    this.#now ??= { beganUs: nowUs, cause };
    this.#write(null);
  }

  end(nowUs: number): void {
    if (!this.#now) return;
    this.#write(nowUs);
    this.#now = undefined;
    this.#database
      .prepare(
        'DELETE FROM outages WHERE began_us NOT IN (SELECT began_us FROM outages ORDER BY began_us DESC LIMIT ?)',
      )
      .run(MOST_OUTAGES);
  }

  #write(endedUs: number | null): void {
    if (!this.#now) return;
    this.#database
      .prepare(
        'INSERT INTO outages (began_us, ended_us, cause) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ended_us = excluded.ended_us',
      )
      .run(this.#now.beganUs, endedUs, this.#now.cause);
  }
}
