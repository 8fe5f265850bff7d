// SPDX-License-Identifier: Apache-2.0
//
// Questions about flows.
import type { Database } from 'better-sqlite3';
import type { Cursor, Filter } from '../flows/filter.js';
import type { StoredFlow } from '../flows/record.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { type CompiledFilter, compileFilter, type Names, where, withContainers } from './flow_query.js';
import { FLOW_COLUMNS, FLOW_COUNT, FLOW_JOINS, type FlowRow, toStored } from './flow_rows.js';

/** Above this many containers, a day is read through in the order of arrival instead of container by container. */
const MOST_BY_INDEX = 64;
/** Rows that are looked at before the clock is. */
const SLICE = 250_000;
/** A question that finds little gives what it has after this, with a cursor to go on from. */
const LONGEST_MS = 2000;
/** The table of open flows stands for a day of this name. */
export const OPEN = 'open';

export interface Page {
  readonly flows: StoredFlow[];
  readonly next: Cursor | null;
}

/** Where a follower has come to: the last row that it has seen, by day. */
export type Position = Readonly<Record<string, number>>;

interface Range {
  readonly first: number;
  readonly last: number;
}

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
    .prepare(
      `SELECT ${FLOW_COLUMNS}, ${FLOW_COUNT} FROM flows f ${FLOW_JOINS} WHERE f.id IN (${chosen}) ORDER BY ${order}`,
    )
    .safeIntegers()
    .all(...values) as FlowRow[];
}

export function flowsById(database: Database, day: string, ids: readonly number[]): StoredFlow[] {
  if (ids.length === 0) return [];
  return select(database, 'SELECT value FROM json_each(?)', 'f.id DESC', [JSON.stringify(ids)]).map((row) =>
    toStored(day, row),
  );
}

/** Ids that hold rows of the time that is asked for. undefined: there are none. */
export function rangeOf(
  database: Database,
  { sinceUs, untilUs }: Pick<Filter, 'sinceUs' | 'untilUs'>,
): Range | undefined {
  const range = database
    .prepare('SELECT min(first_id) AS first, max(last_id) AS last FROM spans WHERE last_us >= ? AND first_us <= ?')
    .get(sinceUs ?? 0, untilUs ?? Number.MAX_SAFE_INTEGER) as { first: number | null; last: number | null };
  return range.first === null || range.last === null ? undefined : { first: range.first, last: range.last };
}

export class Reading {
  readonly #connections: Connections;
  readonly #names: Names;

  constructor(connections: Connections, names: Names) {
    this.#connections = connections;
    this.#names = names;
  }

  /** Newest first, in the order of arrival. A page can be short of the limit and yet have a next one: see LONGEST_MS. */
  flows(filter: Filter, limit: number, cursor: Cursor | null): Page {
    const compiled = compileFilter(filter, this.#names);
    const deadline = performance.now() + LONGEST_MS;
    const flows: StoredFlow[] = [];
    for (const day of this.#connections.days().reverse()) {
      if (cursor && day > cursor.day) continue;
      const below = cursor?.day === day ? cursor.id : Number.MAX_SAFE_INTEGER;
      const wanted = limit + 1 - flows.length;
      const part = this.#connections.ask(day, (database) => {
        const range = rangeOf(database, filter);
        if (!range) return { rows: [] };
        const upTo = { first: range.first, last: Math.min(range.last, below - 1) };
        return compiled.containers && compiled.containers.length <= MOST_BY_INDEX
          ? byContainer(database, compiled, compiled.containers, upTo, wanted)
          : byArrival(database, compiled, upTo, wanted, deadline);
      });
      flows.push(...(part?.rows ?? []).map((row) => toStored(day, row)));
      if (part?.stopped !== undefined) return { flows, next: { day, id: part.stopped } };
      if (flows.length > limit) break;
    }
    const last = flows[limit - 1];
    return { flows: flows.slice(0, limit), next: flows.length > limit && last ? { day: last.day, id: last.id } : null };
  }

  /** In the order of arrival. A page can be short of the limit and yet have a next one, as above. */
  oldestFirst(filter: Filter, limit: number, cursor: Cursor | null): Page {
    const { sql, values } = withContainers(compileFilter(filter, this.#names));
    const chosen = `SELECT id FROM flows f ${where(['f.id BETWEEN ? AND ?', costs('f.id'), ...sql])} ORDER BY f.id LIMIT ?`;
    const deadline = performance.now() + LONGEST_MS;
    const flows: StoredFlow[] = [];
    for (const day of this.#connections.days()) {
      if (cursor && day < cursor.day) continue;
      const reached = this.#connections.ask(day, (database) => {
        const range = rangeOf(database, filter);
        const from = Math.max(range?.first ?? 1, cursor?.day === day ? cursor.id + 1 : 1);
        for (let first = from; range && first <= range.last; first += SLICE) {
          const last = Math.min(range.last, first + SLICE - 1);
          const rows = select(database, chosen, 'f.id', [first, last, ...values, limit - flows.length]);
          flows.push(...rows.map((row) => toStored(day, row)));
          if (flows.length >= limit) return Number(rows.at(-1)?.id ?? last);
          if (performance.now() > deadline) return last;
        }
        return undefined;
      });
      if (reached !== undefined) return { flows, next: { day, id: reached } };
    }
    return { flows, next: null };
  }

  /** Of the last reports; `end` is the time of the report. */
  openFlows(filter: Filter, limit: number): StoredFlow[] {
    const { sql, values } = withContainers(compileFilter(filter, this.#names));
    return this.#open(`${where(sql)} ORDER BY f.end_us - f.duration DESC, f.id LIMIT ?`, [...values, limit]);
  }

  #open(rest: string, values: unknown[]): StoredFlow[] {
    const rows = this.#connections
      .state()
      .prepare(`SELECT ${FLOW_COLUMNS}, 1 AS count FROM open_flows f ${FLOW_JOINS} ${rest}`)
      .safeIntegers()
      .all(...values) as FlowRow[];
    return rows.map((row) => toStored(OPEN, row));
  }

  /** Open flows with one of these ports at any end of theirs. */
  openWithPorts(ports: readonly number[]): StoredFlow[] {
    const list = JSON.stringify(ports);
    const among = (column: string) => `${column} IN (SELECT value FROM json_each(?))`;
    return this.#open(
      `WHERE ${['f.local_port', 'f.remote_port', 't.source_port', 't.destination_port'].map(among).join(' OR ')} LIMIT 10000`,
      [list, list, list, list],
    );
  }

  /** undefined: there is none, or it is gone with its day. */
  one(day: string, id: number): StoredFlow | undefined {
    if (day === OPEN) return this.#open('WHERE f.id = ?', [id])[0];
    return this.#connections.ask(day, (database) => flowsById(database, day, [id]))?.[0];
  }

  /** Behind all that is stored now. */
  position(): Position {
    return Object.fromEntries(this.#connections.days().map((day) => [day, this.#connections.ask(day, highest) ?? 0]));
  }

  /** In the order of arrival, from behind a position. */
  after(filter: Filter, position: Position, limit: number): { flows: StoredFlow[]; position: Position } {
    const { sql, values } = withContainers(compileFilter(filter, this.#names));
    const chosen = `SELECT id FROM flows f ${where(['f.id > ? AND f.id <= ?', costs('f.id'), ...sql])} ORDER BY f.id LIMIT ?`;
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

function byContainer(
  database: Database,
  { sql, values }: CompiledFilter,
  containers: readonly number[],
  { first, last }: Range,
  limit: number,
): Part {
  const chosen = database
    .prepare(
      `SELECT id FROM flows f ${where(['f.container = ?', 'f.id BETWEEN ? AND ?', costs('f.id'), ...sql])} ORDER BY f.id DESC LIMIT ?`,
    )
    .pluck();
  const ids = containers.flatMap((id) => chosen.all(id, first, last, ...values, limit) as number[]);
  const newest = ids.sort((a, b) => b - a).slice(0, limit);
  return { rows: select(database, 'SELECT value FROM json_each(?)', 'f.id DESC', [JSON.stringify(newest)]) };
}

function byArrival(database: Database, compiled: CompiledFilter, range: Range, limit: number, deadline: number): Part {
  const { sql, values } = withContainers(compiled);
  const chosen = `SELECT id FROM flows f ${where(['f.id BETWEEN ? AND ?', costs('f.id'), ...sql])} ORDER BY f.id DESC LIMIT ?`;
  const rows: FlowRow[] = [];
  for (let last = range.last; last >= range.first; last -= SLICE) {
    const first = Math.max(range.first, last - SLICE + 1);
    rows.push(...select(database, chosen, 'f.id DESC', [first, last, ...values, limit - rows.length]));
    if (rows.length >= limit) break;
    if (performance.now() > deadline && first > range.first) return { rows, stopped: first };
  }
  return { rows };
}
