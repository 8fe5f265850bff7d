// SPDX-License-Identifier: Apache-2.0
//
// What Kubernetes said last: pods, services and nodes, and what pods belong to, in state.db. The last goes to the containers, too:
// it is asked for long after the pod is gone.
import type { Database } from 'better-sqlite3';

export interface ClusterRow {
  readonly kind: string;
  readonly key: string;
  /** JSON; null: it is gone. */
  readonly facts: string | null;
}

/** Of rows whose key is NAMESPACE/POD, and whose facts are the name of the workload. */
const WORKLOAD = 'workload';
/** For a row of containers: what is known already of its pod, NAMESPACE/POD, or what it has. */
export const KNOWN_WORKLOAD = `workload = coalesce(
  (SELECT json_extract(facts, '$') FROM cluster WHERE kind = '${WORKLOAD}' AND key = ?), workload)`;

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
    // Of those that are gone, names of pods may have been used before.
    const belongs = this.#database.prepare(
      "UPDATE containers SET workload = ? WHERE namespace = ? AND pod = ? AND (gone_us IS NULL OR workload = '')",
    );
    for (const { kind, key, facts } of rows) {
      if (facts === null) remove.run(kind, key);
      else put.run(kind, key, facts);
      if (kind === WORKLOAD && facts !== null) belongs.run(JSON.parse(facts), ...key.split('/'));
    }
  }
}
