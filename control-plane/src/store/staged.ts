// SPDX-License-Identifier: Apache-2.0
//
// Versions of policies that are tried beside those in force.
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';

export interface StagedPolicy {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** JSON. */
  readonly document: string;
  /** As the user wrote it. */
  readonly text: string;
  /** As access/caller.ts names callers. */
  readonly author: string;
  readonly stagedUs: number;
}

export type NewStaged = Omit<StagedPolicy, 'author' | 'stagedUs'>;

/** One for each policy. Each costs every flow that is shown a second verdict. More are refused. */
export const MOST_STAGED = 100;

export class Staged {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): StagedPolicy[] {
    return this.#database
      .prepare('SELECT key, namespace, name, document, text, author, staged_us AS stagedUs FROM staged ORDER BY key')
      .all() as StagedPolicy[];
  }

  /** In place of the version that is staged already. */
  put({ key, namespace, name, document, text }: NewStaged, author: string, nowUs: number): void {
    const others = this.#database.prepare('SELECT count(*) FROM staged WHERE key <> ?').pluck().get(key) as number;
    if (others >= MOST_STAGED)
      throw new CellwallError(
        'too_many_requests',
        `${others} policies have a staged version (at most ${MOST_STAGED}): promote or unstage some first`,
      );
    this.#database
      .prepare(
        'INSERT OR REPLACE INTO staged (key, namespace, name, document, text, author, staged_us) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(key, namespace, name, document, text, author, nowUs);
  }

  delete(key: string): boolean {
    return this.#database.prepare('DELETE FROM staged WHERE key = ?').run(key).changes > 0;
  }

  /** It is in force now. */
  promoted({ key, document }: Pick<StagedPolicy, 'key' | 'document'>): void {
    this.#database.prepare('DELETE FROM staged WHERE key = ? AND document = ?').run(key, document);
  }
}
