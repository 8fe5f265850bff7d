// SPDX-License-Identifier: Apache-2.0
//
// Questions about flows.
import type { Database } from 'better-sqlite3';
import type { Cursor, Filter } from '../flows/filter.js';
import type { StoredFlow } from '../flows/record.js';
import type { Connections } from './connections.js';
import { type Conditions, containerConditions, flowConditions, where } from './flow_query.js';
import { FLOW_COLUMNS, FLOW_JOINS, type FlowRow, toStored } from './flow_rows.js';

/** Above this many containers, a day is read through in the order of arrival instead of container by container. */
const MOST_BY_INDEX = 64;
/** Rows that are looked at before the clock is. */
const SLICE = 250_000;
/** A question that finds little gives what it has after this, with a cursor to go on from. */
const LONGEST_MS = 2000;

export interface Page {
  readonly flows: StoredFlow[];
  readonly next: Cursor | null;
}

/** Where a follower has come to: the last row that it has seen, by day. */
export type Position = Readonly<Record<string, number>>;

interface Part {
  readonly rows: FlowRow[];
  /** The row that was looked at last, when time ran out. */
  readonly stopped?: number;
}

const highest = (database: Database): number =>
  (database.prepare('SELECT max(id) FROM flows').pluck().get() as number | null) ?? 0;

/** `chosen` selects the ids; names are joined for those only. */
function select(database: Database, chosen: string, order: string, values: unknown[]): FlowRow[] {
  return database
    .prepare(`SELECT ${FLOW_COLUMNS} FROM flows f ${FLOW_JOINS} WHERE f.id IN (${chosen}) ORDER BY ${order}`)
    .safeIntegers()
    .all(...values) as FlowRow[];
}

/** Ids from `first` to `last` that hold rows of the time that is asked for. undefined: there are none. */
function rangeOf(database: Database, filter: Filter): { first: number; last: number } | undefined {
  const range = database
    .prepare('SELECT min(first_id) AS first, max(last_id) AS last FROM spans WHERE last_us >= ? AND first_us <= ?')
    .get(filter.fromUs ?? 0, filter.toUs ?? Number.MAX_SAFE_INTEGER) as { first: number | null; last: number | null };
  return range.first === null || range.last === null ? undefined : { first: range.first, last: range.last };
}

function withContainers(given: Conditions, containers: readonly number[] | undefined): Conditions {
  if (!containers) return given;
  // The + keeps SQLite from the index, which has another order.
  return {
    sql: [...given.sql, '+f.container IN (SELECT value FROM json_each(?))'],
    values: [...given.values, JSON.stringify(containers)],
  };
}

export class Reading {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  #containers(filter: Filter): number[] | undefined {
    const conditions = containerConditions(filter);
    if (!conditions) return undefined;
    return this.#connections
      .state()
      .prepare(`SELECT c.id FROM state.containers c JOIN state.nodes n ON n.id = c.node ${where(conditions.sql)}`)
      .pluck()
      .all(...conditions.values) as number[];
  }

  /** Newest first: by the time of the end for a few containers, else in the order of arrival. A page can be short of the
   * limit and yet have a next one: see LONGEST_MS. */
  flows(filter: Filter, limit: number, cursor: Cursor | null): Page {
    const containers = this.#containers(filter);
    const deadline = performance.now() + LONGEST_MS;
    const flows: StoredFlow[] = [];
    for (const day of this.#connections.days().reverse()) {
      if (cursor && day > cursor.day) continue;
      const at = cursor?.day === day ? cursor : null;
      const wanted = limit + 1 - flows.length;
      const part = this.#connections.ask(day, (database) =>
        containers && containers.length <= MOST_BY_INDEX
          ? this.#byContainer(database, filter, containers, wanted, at)
          : this.#byArrival(database, filter, containers, wanted, at, deadline),
      );
      flows.push(...(part?.rows ?? []).map((row) => toStored(day, row)));
      if (part?.stopped !== undefined) return { flows, next: { day, us: 0, id: part.stopped } };
      if (flows.length > limit) break;
    }
    const last = flows[limit - 1];
    const more = flows.length > limit && last;
    return { flows: flows.slice(0, limit), next: more ? { day: last.day, us: last.endUs, id: last.id } : null };
  }

  #byContainer(database: Database, filter: Filter, containers: number[], limit: number, at: Cursor | null): Part {
    const { sql, values } = flowConditions(filter);
    if (at) {
      sql.push('(f.end_us, f.id) < (?, ?)');
      values.push(at.us, at.id);
    }
    const chosen = `SELECT id FROM flows f ${where(['f.container = ?', ...sql])} ORDER BY f.end_us DESC, f.id DESC LIMIT ?`;
    const rows = containers.flatMap((id) =>
      select(database, chosen, 'f.end_us DESC, f.id DESC', [id, ...values, limit]),
    );
    return { rows: rows.sort((a, b) => Number(b.end_us - a.end_us) || Number(b.id - a.id)).slice(0, limit) };
  }

  #byArrival(
    database: Database,
    filter: Filter,
    containers: number[] | undefined,
    limit: number,
    at: Cursor | null,
    deadline: number,
  ): Part {
    const range = rangeOf(database, filter);
    if (!range) return { rows: [] };
    const { sql, values } = withContainers(flowConditions(filter), containers);
    const chosen = `SELECT id FROM flows f ${where(['f.id BETWEEN ? AND ?', ...sql])} ORDER BY f.id DESC LIMIT ?`;
    const rows: FlowRow[] = [];
    for (let last = Math.min(range.last, at ? at.id - 1 : range.last); last >= range.first; last -= SLICE) {
      const first = Math.max(range.first, last - SLICE + 1);
      rows.push(...select(database, chosen, 'f.id DESC', [first, last, ...values, limit - rows.length]));
      if (rows.length >= limit) break;
      if (performance.now() > deadline && first > range.first) return { rows, stopped: first };
    }
    return { rows };
  }

  /** Of the last reports; `end` is the time of the report. */
  openFlows(filter: Filter, limit: number): StoredFlow[] {
    const { sql, values } = withContainers(flowConditions(filter), this.#containers(filter));
    const rows = this.#connections
      .state()
      .prepare(
        `SELECT ${FLOW_COLUMNS} FROM open_flows f ${FLOW_JOINS} ${where(sql)} ORDER BY f.end_us - f.duration DESC, f.id LIMIT ?`,
      )
      .safeIntegers()
      .all(...values, limit) as FlowRow[];
    return rows.map((row) => toStored('open', row));
  }

  /** Behind all that is stored now. */
  position(): Position {
    return Object.fromEntries(this.#connections.days().map((day) => [day, this.#connections.ask(day, highest) ?? 0]));
  }

  /** In the order of arrival, from behind a position. */
  after(filter: Filter, position: Position, limit: number): { flows: StoredFlow[]; position: Position } {
    const { sql, values } = withContainers(flowConditions(filter), this.#containers(filter));
    const chosen = `SELECT id FROM flows f ${where(['f.id > ? AND f.id <= ?', ...sql])} ORDER BY f.id LIMIT ?`;
    const reached: Record<string, number> = { ...position };
    const flows: StoredFlow[] = [];
    for (const day of this.#connections.days()) {
      const room = limit - flows.length;
      if (room <= 0) break;
      this.#connections.ask(day, (database) => {
        const top = highest(database);
        const before = reached[day] ?? 0;
        // A file that was set aside has a successor which begins anew.
        const from = before > top ? 0 : before;
        if (top === from) return;
        const rows = select(database, chosen, 'f.id', [from, top, ...values, room]);
        flows.push(...rows.map((row) => toStored(day, row)));
        reached[day] = rows.length === room ? Number(rows.at(-1)?.id ?? top) : top;
      });
    }
    return { flows, position: reached };
  }
}
