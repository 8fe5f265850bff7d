// SPDX-License-Identifier: Apache-2.0
//
// Tokens of people and machines. Only hashes are kept.
import type { Database } from 'better-sqlite3';

export interface StoredToken {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** SHA-256 of the secret, hex. */
  readonly hash: string;
  readonly createdUs: number;
  readonly createdBy: string;
  /** null: none. */
  readonly expiresUs: number | null;
  readonly lastUsedUs: number | null;
  readonly revokedUs: number | null;
}

export type NewToken = Pick<StoredToken, 'id' | 'name' | 'role' | 'hash' | 'createdBy' | 'expiresUs'>;

export class Tokens {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  all(): StoredToken[] {
    return this.#database
      .prepare(
        `SELECT id, name, role, hash, created_us AS createdUs, created_by AS createdBy, expires_us AS expiresUs,
          last_used_us AS lastUsedUs, revoked_us AS revokedUs FROM tokens ORDER BY created_us, id`,
      )
      .all() as StoredToken[];
  }

  create({ id, name, role, hash, createdBy, expiresUs }: NewToken, nowUs: number): void {
    this.#database
      .prepare(
        'INSERT INTO tokens (id, name, role, hash, created_us, created_by, expires_us) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(id, name, role, hash, nowUs, createdBy, expiresUs);
  }

  revoke(id: string, nowUs: number): void {
    this.#database.prepare('UPDATE tokens SET revoked_us = ? WHERE id = ? AND revoked_us IS NULL').run(nowUs, id);
  }

  used(id: string, nowUs: number): void {
    this.#database.prepare('UPDATE tokens SET last_used_us = ? WHERE id = ?').run(nowUs, id);
  }

  /** Of those that have not been good for anything since `beforeUs`; the audit log still tells of them. */
  forget(beforeUs: number): void {
    this.#database.prepare('DELETE FROM tokens WHERE revoked_us < ? OR expires_us < ?').run(beforeUs, beforeUs);
  }
}
