// SPDX-License-Identifier: Apache-2.0
//
// How often each rule of a policy decided, and when last: from the roll-ups, and the rows that are not in them yet.
import type { Database } from 'better-sqlite3';
import { unpackKind } from '../flows/record.js';
import type { RuleRecord } from '../learn/index.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { dayOf } from './days.js';
import { HOUR_US } from './edge_columns.js';
import { listMonths } from './roll_ups.js';

export interface RuleUse {
  readonly rule: string;
  readonly allowed: number;
  readonly denied: number;
  readonly audit: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

interface Row {
  readonly rule: number;
  readonly kind: number;
  readonly flows: number;
  readonly first: number;
  readonly last: number;
}

const VERDICTS = [undefined, 'allowed', 'denied', 'audit'] as const;
const DAY_US = 86_400e6;

export class RuleUses {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  /** By number. undefined: a rule that nobody wrote, or none. */
  name(number: number): { policy: string; rule: string } | undefined {
    return this.#connections.state().prepare('SELECT policy, rule FROM rules WHERE id = ?').get(number) as
      | { policy: string; rule: string }
      | undefined;
  }

  /** Of the rules that decided since; of the hour of `sinceUs`, all of it may count. */
  of(policy: string, sinceUs: number): RuleUse[] {
    const names = new Map(
      (
        this.#connections.state().prepare('SELECT id, rule FROM rules WHERE policy = ?').all(policy) as {
          id: number;
          rule: string;
        }[]
      ).map(({ id, rule }) => [id, rule]),
    );
    const ids = JSON.stringify([...names.keys()]);
    const uses = new Map<string, RuleUse>();
    for (const day of this.#connections.days()) {
      if (day < dayOf(sinceUs - DAY_US)) continue;
      for (const row of this.#connections.ask(day, (database) => rowsOf(database, ids, sinceUs)) ?? [])
        add(uses, names.get(row.rule) ?? '', row);
    }
    return [...uses.values()].sort((a, b) => (a.rule < b.rule ? -1 : 1));
  }

  /** Of all rules of these policies, also by connections that are open and by days of which only sums are left. */
  last(policies: readonly string[], sinceUs: number, nowUs: number): RuleRecord[] {
    const state = this.#connections.state();
    const last = new Map<number, number>();
    const take = (rows: readonly { rule: number; last: number }[]) => {
      for (const it of rows) last.set(it.rule, Math.max(last.get(it.rule) ?? 0, it.last));
    };
    for (const month of listMonths(this.#connections.folder))
      if (month >= dayOf(sinceUs - DAY_US).slice(0, 7))
        take(this.#connections.askMonth(month, (database) => summedLast(database, sinceUs)));
    for (const day of this.#connections.days())
      if (day >= dayOf(sinceUs - DAY_US))
        take(
          this.#connections.ask(day, (database) => [
            ...summedLast(database, sinceUs),
            ...looseLast(database, sinceUs),
          ]) ?? [],
        );
    const open = state.prepare('SELECT DISTINCT rule FROM open_flows').pluck().all() as number[];
    take(open.map((rule) => ({ rule, last: nowUs })));
    const rules = state
      .prepare(
        `SELECT id, policy, rule, created_us AS createdUs FROM rules WHERE policy IN (SELECT value FROM json_each(?))
         ORDER BY policy, rule`,
      )
      .all(JSON.stringify(policies)) as (Omit<RuleRecord, 'lastUs'> & { id: number })[];
    return rules.map(({ id, ...it }) => ({ ...it, lastUs: last.get(id) ?? null }));
  }
}

interface Last {
  readonly rule: number;
  readonly last: number;
}

const summedLast = (database: Database, sinceUs: number): Last[] =>
  database
    .prepare(`SELECT rule, max(last_us) AS last FROM edges WHERE hour >= ? AND ${costs('first_us')} GROUP BY rule`)
    .all(Math.floor(sinceUs / HOUR_US)) as Last[];

function looseLast(database: Database, sinceUs: number): Last[] {
  const digested = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
  return database
    .prepare(
      `SELECT rule, max(end_us) AS last FROM flows WHERE id > ? AND end_us >= ? AND ${costs('id')} GROUP BY rule`,
    )
    .all(digested, sinceUs) as Last[];
}

function rowsOf(database: Database, ids: string, sinceUs: number): Row[] {
  const among = 'rule IN (SELECT value FROM json_each(?))';
  const digested = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
  const summed = database.prepare(
    `SELECT rule, kind, sum(flows) AS flows, min(first_us) AS first, max(last_us) AS last
     FROM edges WHERE hour >= ? AND ${costs('first_us')} AND ${among} GROUP BY rule, kind`,
  );
  const loose = database.prepare(
    `SELECT rule, kind, sum(coalesce(m.count, 1)) AS flows, min(end_us) AS first, max(end_us) AS last
     FROM flows f LEFT JOIN counts m ON m.id = f.id WHERE f.id > ? AND end_us >= ? AND ${among} GROUP BY rule, kind`,
  );
  return [...summed.all(Math.floor(sinceUs / HOUR_US), ids), ...loose.all(digested, sinceUs, ids)] as Row[];
}

function add(uses: Map<string, RuleUse>, rule: string, { kind, flows, first, last }: Row): void {
  const verdict = VERDICTS[unpackKind(kind).verdict];
  const known = uses.get(rule) ?? { rule, allowed: 0, denied: 0, audit: 0, firstUs: first, lastUs: last };
  uses.set(rule, {
    ...known,
    ...(verdict && { [verdict]: known[verdict] + flows }),
    firstUs: Math.min(known.firstUs, first),
    lastUs: Math.max(known.lastUs, last),
  });
}
