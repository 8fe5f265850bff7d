// SPDX-License-Identifier: Apache-2.0
//
// In state.db: join tokens, and what is known of the certificate of each node.
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';

/** Used and ended ones go first; with this many that still count, no more are made. */
export const MOST_JOIN_TOKENS = 10_000;
/** Ended and used ones are shown for so long. */
const KEEP_US = 30 * 86_400e6;

export interface NewJoinToken {
  readonly id: string;
  /** SHA-256 of the secret, in hex. */
  readonly secretHash: string;
  /** null: any that has no certificate yet. */
  readonly node: string | null;
  readonly expiresUs: number;
}

export interface JoinTokenRow {
  readonly id: string;
  readonly node: string | null;
  readonly createdUs: number;
  readonly expiresUs: number;
  readonly usedUs: number | null;
  readonly usedBy: string | null;
  readonly revokedUs: number | null;
}

export interface TokenUse {
  readonly id: string;
  readonly secretHash: string;
  readonly node: string;
  /** SHA-256 of the public key: an agent that did not get its answer may ask again with the same one. */
  readonly keyHash: string;
}

export interface IssuedCertificate {
  readonly node: string;
  readonly serial: string;
  readonly endsUs: number;
  /** SHA-256 of the certificate of the authority. */
  readonly authority: string;
  /** join token, service account, renewal */
  readonly method: string;
}

export interface NodeIdentity {
  readonly node: string;
  readonly serial: string | null;
  readonly issuedUs: number | null;
  readonly endsUs: number | null;
  readonly authority: string | null;
  readonly method: string | null;
  readonly revokedUs: number | null;
  /** Certificates from before are refused. */
  readonly acceptedFromUs: number;
  /** What the agent says of its renewal; '': nothing is wrong. */
  readonly error: string;
}

const refuse = (message: string): never => {
  throw new CellwallError('unauthorized', message);
};

const TOKEN_COLUMNS =
  'id, node, created_us AS createdUs, expires_us AS expiresUs, used_us AS usedUs, used_by AS usedBy, revoked_us AS revokedUs';
const time = (us: number) => new Date(us / 1000).toISOString();

const IDENTITIES = `SELECT node, serial, issued_us AS issuedUs, ends_us AS endsUs, authority, method, revoked_us AS revokedUs,
  accepted_from_us AS acceptedFromUs, error FROM identities`;

export class Identities {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Made once for a data folder. */
  storeId(fresh: string): string {
    this.#database.prepare("INSERT OR IGNORE INTO settings (name, value) VALUES ('store', ?)").run(fresh);
    return this.#database.prepare("SELECT value FROM settings WHERE name = 'store'").pluck().get() as string;
  }

  addJoinToken(token: NewJoinToken, nowUs: number): void {
    this.#database
      .prepare('DELETE FROM join_tokens WHERE coalesce(used_us, revoked_us, expires_us) < ?')
      .run(nowUs - KEEP_US);
    const open = this.#database.prepare('SELECT count(*) FROM join_tokens').pluck().get() as number;
    if (open >= MOST_JOIN_TOKENS)
      throw new CellwallError(
        'conflict',
        `there are ${MOST_JOIN_TOKENS} join tokens; revoke some that are not needed ('cellwall node join-token list')`,
      );
    this.#database
      .prepare('INSERT INTO join_tokens (id, secret_hash, node, created_us, expires_us) VALUES (?, ?, ?, ?, ?)')
      .run(token.id, token.secretHash, token.node, nowUs, token.expiresUs);
  }

  joinTokens(): JoinTokenRow[] {
    return this.#database
      .prepare(`SELECT ${TOKEN_COLUMNS} FROM join_tokens ORDER BY created_us DESC, id`)
      .all() as JoinTokenRow[];
  }

  revokeJoinToken(id: string, nowUs: number): boolean {
    const done = this.#database
      .prepare('UPDATE join_tokens SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?')
      .run(nowUs, id);
    return done.changes > 0;
  }

  /** Throws unauthorized: the token does not let this node in. */
  useJoinToken(use: TokenUse, nowUs: number): void {
    const row = this.#database
      .prepare(`SELECT ${TOKEN_COLUMNS}, secret_hash AS secretHash, used_key AS usedKey FROM join_tokens WHERE id = ?`)
      .get(use.id) as (JoinTokenRow & { secretHash: string; usedKey: string | null }) | undefined;
    // Hashes are compared, so the time that this takes tells nothing of the secret.
    if (!row || row.secretHash !== use.secretHash)
      throw new CellwallError('unauthorized', 'the join token is not known here');
    if (row.revokedUs !== null) refuse(`join token ${use.id} was revoked`);
    if (row.expiresUs <= nowUs) refuse(`join token ${use.id} ended at ${time(row.expiresUs)}`);
    if (row.node !== null && row.node !== use.node)
      refuse(`join token ${use.id} is for node ${row.node}, and not for ${use.node}`);
    if (row.usedUs !== null && (row.usedBy !== use.node || row.usedKey !== use.keyHash))
      refuse(`join token ${use.id} was used by node ${row.usedBy} at ${time(row.usedUs)}; make another one`);
    if (row.node === null && row.usedUs === null) this.#checkFree(use.node, nowUs);
    this.#database
      .prepare('UPDATE join_tokens SET used_us = ?, used_by = ?, used_key = ? WHERE id = ?')
      .run(row.usedUs ?? nowUs, use.node, use.keyHash, use.id);
  }

  /** A token for any node must not take the place of one that is there. */
  #checkFree(node: string, nowUs: number): void {
    const endsUs = this.#database.prepare('SELECT ends_us FROM identities WHERE node = ?').pluck().get(node) as
      | number
      | null
      | undefined;
    if (endsUs && endsUs > nowUs)
      refuse(
        `node ${node} has a certificate until ${time(endsUs)}: it enrols anew with a token of its own ('cellwall node join-token create --node ${node}')`,
      );
  }

  issued(certificate: IssuedCertificate, nowUs: number): void {
    this.#database
      .prepare(
        `INSERT INTO identities (node, serial, issued_us, ends_us, authority, method) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (node) DO UPDATE SET serial = excluded.serial, issued_us = excluded.issued_us, ends_us = excluded.ends_us,
           authority = excluded.authority, method = excluded.method, error = ''`,
      )
      .run(certificate.node, certificate.serial, nowUs, certificate.endsUs, certificate.authority, certificate.method);
  }

  reported(node: string, error: string): void {
    this.#database.prepare('UPDATE identities SET error = ? WHERE node = ? AND error <> ?').run(error, node, error);
  }

  revoke(node: string, nowUs: number): void {
    this.#database
      .prepare(
        'INSERT INTO identities (node, revoked_us) VALUES (?, ?) ON CONFLICT (node) DO UPDATE SET revoked_us = coalesce(revoked_us, excluded.revoked_us)',
      )
      .run(node, nowUs);
  }

  /** False: it was not revoked. */
  allow(node: string, acceptedFromUs: number): boolean {
    const done = this.#database
      .prepare(
        'UPDATE identities SET revoked_us = NULL, accepted_from_us = max(accepted_from_us, ?) WHERE node = ? AND revoked_us IS NOT NULL',
      )
      .run(acceptedFromUs, node);
    return done.changes > 0;
  }

  all(): NodeIdentity[] {
    return this.#database.prepare(`${IDENTITIES} ORDER BY node`).all() as NodeIdentity[];
  }

  one(node: string): NodeIdentity | undefined {
    return this.#database.prepare(`${IDENTITIES} WHERE node = ?`).get(node) as NodeIdentity | undefined;
  }
}
