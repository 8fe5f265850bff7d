// SPDX-License-Identifier: Apache-2.0
//
// Policies in state.db, their generation, and the numbers of their rules.
import type { Database } from 'better-sqlite3';

/** Where it is kept: here, or as an object of Kubernetes, of our kinds or a NetworkPolicy. */
export type Origin = '' | 'kubernetes' | 'networkpolicy';

export interface StoredPolicy {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  /** JSON. */
  readonly document: string;
  /** As the user wrote it; '': it was stored before texts were kept. */
  readonly text: string;
  readonly origin: Origin;
  readonly generation: number;
  readonly createdUs: number;
  readonly updatedUs: number;
}

const FIRST_RULE = 16;

export class Policies {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  generation(): number {
    const row = this.#database.prepare("SELECT value FROM settings WHERE name = 'generation'").get() as
      | { value: string }
      | undefined;
    return row ? Number(row.value) : 0;
  }

  setGeneration(generation: number): void {
    this.#database
      .prepare(
        "INSERT INTO settings (name, value) VALUES ('generation', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      )
      .run(String(generation));
  }

  all(): StoredPolicy[] {
    return this.#database
      .prepare(
        'SELECT key, namespace, name, document, text, origin, generation, created_us AS createdUs, updated_us AS updatedUs FROM policies ORDER BY key',
      )
      .all() as StoredPolicy[];
  }

  put(policy: Omit<StoredPolicy, 'createdUs' | 'updatedUs'>, nowUs: number): void {
    this.#database
      .prepare(
        `INSERT INTO policies (key, namespace, name, document, text, origin, generation, created_us, updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET document = excluded.document, text = excluded.text, origin = excluded.origin, generation = excluded.generation, updated_us = excluded.updated_us`,
      )
      .run(
        policy.key,
        policy.namespace,
        policy.name,
        policy.document,
        policy.text,
        policy.origin,
        policy.generation,
        nowUs,
        nowUs,
      );
  }

  delete(key: string): boolean {
    return this.#database.prepare('DELETE FROM policies WHERE key = ?').run(key).changes > 0;
  }

  ruleNumber(policy: string, rule: string, nowUs = Date.now() * 1000): number {
    const found = this.#database.prepare('SELECT id FROM rules WHERE policy = ? AND rule = ?').get(policy, rule) as
      | { id: number }
      | undefined;
    if (found) return found.id;
    const row = this.#database
      .prepare(
        'INSERT INTO rules (id, policy, rule, created_us) VALUES ((SELECT max(?, coalesce(max(id), 0) + 1) FROM rules), ?, ?, ?) RETURNING id',
      )
      .get(FIRST_RULE, policy, rule, nowUs) as { id: number };
    return row.id;
  }

  /** Numbers up to so many behind the last one are never given. */
  skipRuleNumbers(count: number, why: string): void {
    this.#database
      .prepare(
        'INSERT INTO rules (id, policy, rule) VALUES ((SELECT max(?, coalesce(max(id), 0)) + ? FROM rules), ?, ?)',
      )
      .run(FIRST_RULE, count, '(restored)', why);
  }
}
