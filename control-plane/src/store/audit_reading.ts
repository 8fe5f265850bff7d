// SPDX-License-Identifier: Apache-2.0
//
// Questions about the audit log.
import type { AuditEntry, Head } from '../audit/chain.js';
import { headOf } from './audit_log.js';
import type { Connections } from './connections.js';
import { where } from './flow_query.js';

export interface AuditFilter {
  readonly sinceUs: number | null;
  readonly untilUs: number | null;
  /** GLOB patterns. */
  readonly actor: string | null;
  readonly action: string | null;
}

type Row = Omit<AuditEntry, 'details'> & { readonly details: string };
const COLUMNS = 'number, time_us AS timeUs, actor, action, subject, details, hash';

const toEntry = (row: Row): AuditEntry => ({ ...row, details: JSON.parse(row.details) });

export class AuditReading {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  head(): Head {
    return headOf(this.#connections.state());
  }

  /** Newest first, those before `below`. */
  list(filter: AuditFilter, limit: number, below: number | null): AuditEntry[] {
    const conditions: [string, unknown][] = [
      ['number < ?', below],
      ['time_us >= ?', filter.sinceUs],
      ['time_us <= ?', filter.untilUs],
      ['actor GLOB ?', filter.actor],
      ['action GLOB ?', filter.action],
    ];
    const given = conditions.filter(([, value]) => value !== null);
    const sql = `SELECT ${COLUMNS} FROM audit ${where(given.map(([text]) => text))} ORDER BY number DESC LIMIT ?`;
    const rows = this.#connections
      .state()
      .prepare(sql)
      .all(...given.map(([, value]) => value), limit);
    return (rows as Row[]).map(toEntry);
  }

  /** In their order, from behind `after`: for those who walk the whole log in pieces. */
  after(after: number, limit: number): AuditEntry[] {
    const sql = `SELECT ${COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?`;
    return (this.#connections.state().prepare(sql).all(after, limit) as Row[]).map(toEntry);
  }
}
