// SPDX-License-Identifier: Apache-2.0
//
// The audit log, as the writer adds to it: always inside the transaction of what it tells of.
import type { Database } from 'better-sqlite3';
import { canonicalJson, EMPTY, type Head, hashOf, type NewAuditEntry } from '../audit/chain.js';

/** Of one entry; of longer details only their length is kept. */
const MOST_DETAIL_BYTES = 64 * 1024;

/** The table itself is the truth: another connection of this process never writes it. */
export function headOf(database: Database): Head {
  const row = database.prepare('SELECT number AS count, hash FROM audit ORDER BY number DESC LIMIT 1').get();
  return (row as Head | undefined) ?? EMPTY;
}

/** SQLite keeps UTF-8: half of a surrogate pair would come back as something else, and break the chain. */
const plain = (text: string): string => Buffer.from(text).toString();

export class AuditLog {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  head(): Head {
    return headOf(this.#database);
  }

  append(given: NewAuditEntry, nowUs: number): Head {
    const before = this.head();
    const [actor, action, subject] = [given.actor, given.action, given.subject].map(plain) as [string, string, string];
    const { details } = given;
    const text = plain(canonicalJson(details));
    const kept = text.length > MOST_DETAIL_BYTES ? canonicalJson({ tooLong: text.length }) : text;
    const entry = { number: before.count + 1, timeUs: nowUs, actor, action, subject, details: JSON.parse(kept) };
    const hash = hashOf(before.hash, entry);
    this.#database
      .prepare(
        'INSERT INTO audit (number, time_us, actor, action, subject, details, hash) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(entry.number, nowUs, actor, action, subject, kept, hash);
    return { count: entry.number, hash };
  }
}
