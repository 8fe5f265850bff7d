// SPDX-License-Identifier: Apache-2.0
//
// What Kubernetes said last: pods, services and nodes, in state.db.
import type { Database } from 'better-sqlite3';

export interface ClusterRow {
  readonly kind: string;
  readonly key: string;
  /** JSON; null: it is gone. */
  readonly facts: string | null;
}

export class ClusterRows {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): ClusterRow[] {
    return this.#database.prepare('SELECT kind, key, facts FROM cluster ORDER BY kind, key').all() as ClusterRow[];
  }

  change(rows: readonly ClusterRow[]): void {
    const put = this.#database.prepare(
      'INSERT INTO cluster (kind, key, facts) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET facts = excluded.facts',
    );
    const remove = this.#database.prepare('DELETE FROM cluster WHERE kind = ? AND key = ?');
    for (const { kind, key, facts } of rows) {
      if (facts === null) remove.run(kind, key);
      else put.run(kind, key, facts);
    }
  }
}
