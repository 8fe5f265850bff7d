// SPDX-License-Identifier: Apache-2.0
//
// Changes of policies that wait for an admin, and what became of them.
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';
import type { Connections } from './connections.js';

export const PROPOSAL_STATES = ['open', 'approved', 'rejected', 'withdrawn'] as const;
export type ProposalState = (typeof PROPOSAL_STATES)[number];

export interface StoredProposal {
  readonly id: number;
  readonly state: ProposalState;
  /** As access/caller.ts names callers. */
  readonly author: string;
  readonly reason: string;
  /** Name of the input, for errors. */
  readonly source: string;
  /** YAML or JSON, as it was given. */
  readonly body: string;
  /** JSON: keys of its documents. */
  readonly keys: string;
  readonly createdUs: number;
  /** Of the policies that the dry run compared with. */
  readonly generation: number;
  /** JSON, see flows/effect.ts. */
  readonly effect: string;
  readonly decidedUs: number | null;
  readonly decidedBy: string | null;
  readonly decidedReason: string | null;
}

export type NewProposal = Pick<
  StoredProposal,
  'author' | 'reason' | 'source' | 'body' | 'keys' | 'generation' | 'effect'
>;

export interface Decision {
  readonly id: number;
  readonly state: Exclude<ProposalState, 'open'>;
  readonly by: string;
  readonly reason: string;
}

/** Open ones: of everybody together, and of one author. More are refused. */
const MOST_OPEN = 200;
const MOST_OPEN_EACH = 20;
/** The oldest decided ones go first; the audit log still tells of them. */
const MOST_DECIDED = 1000;

const COLUMNS = `id, state, author, reason, source, body, keys, created_us AS createdUs, generation, effect, decided_us AS decidedUs,
  decided_by AS decidedBy, decided_reason AS decidedReason`;

const one = (database: Database, id: number): StoredProposal | undefined =>
  database.prepare(`SELECT ${COLUMNS} FROM proposals WHERE id = ?`).get(id) as StoredProposal | undefined;

export class Proposals {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  one(id: number): StoredProposal | undefined {
    return one(this.#database, id);
  }

  add(it: NewProposal, nowUs: number): number {
    const { all, own } = this.#database
      .prepare("SELECT count(*) AS 'all', coalesce(sum(author = ?), 0) AS own FROM proposals WHERE state = 'open'")
      .get(it.author) as { all: number; own: number };
    if (all >= MOST_OPEN || own >= MOST_OPEN_EACH)
      throw new CellwallError(
        'too_many_requests',
        `${all} proposals are open, ${own} of them yours (at most ${MOST_OPEN} and ${MOST_OPEN_EACH}): withdraw some, or have them decided`,
      );
    const { lastInsertRowid } = this.#database
      .prepare(
        `INSERT INTO proposals (state, author, reason, source, body, keys, created_us, generation, effect)
         VALUES ('open', ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(it.author, it.reason, it.source, it.body, it.keys, nowUs, it.generation, it.effect);
    return Number(lastInsertRowid);
  }

  renew(id: number, generation: number, effect: string): void {
    this.#database
      .prepare("UPDATE proposals SET generation = ?, effect = ? WHERE id = ? AND state = 'open'")
      .run(generation, effect, id);
  }

  /** false: there is none, or it is not open any more. */
  decide({ id, state, by, reason }: Decision, nowUs: number): boolean {
    const { changes } = this.#database
      .prepare(
        "UPDATE proposals SET state = ?, decided_us = ?, decided_by = ?, decided_reason = ? WHERE id = ? AND state = 'open'",
      )
      .run(state, nowUs, by, reason, id);
    this.#database
      .prepare(
        `DELETE FROM proposals WHERE state <> 'open' AND id NOT IN
          (SELECT id FROM proposals WHERE state <> 'open' ORDER BY decided_us DESC, id DESC LIMIT ${MOST_DECIDED})`,
      )
      .run();
    return changes > 0;
  }
}

export class ProposalReading {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** Newest first. */
  list(state: ProposalState | null, limit: number): StoredProposal[] {
    return this.#connections
      .state()
      .prepare(`SELECT ${COLUMNS} FROM proposals WHERE ? IS NULL OR state = ? ORDER BY id DESC LIMIT ?`)
      .all(state, state, limit) as StoredProposal[];
  }

  one(id: number): StoredProposal | undefined {
    return one(this.#connections.state(), id);
  }
}
