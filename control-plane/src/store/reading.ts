// SPDX-License-Identifier: Apache-2.0
//
// All questions to the store. Read-only connections, one for each day file, with the state file attached.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';
import type { Cursor, Filter } from '../flows/filter.js';
import type { StoredFlow } from '../flows/record.js';
import { type Conditions, containerConditions, flowConditions, where } from './flow_query.js';
import { FLOW_COLUMNS, FLOW_JOINS, type FlowRow, toStored } from './flow_rows.js';
import { isCorrupt } from './open.js';
import { bytesOf, dayPath, listDays } from './storage.js';

/** Above this many containers, a day is read through in the order of arrival instead of container by container. */
const MOST_BY_INDEX = 64;
const MOST_OPEN_DAYS = 8;

export interface Page {
  readonly flows: StoredFlow[];
  readonly next: Cursor | null;
}

/** Where a follower has come to: the last row of a day file that it has seen. */
export interface Position {
  readonly day: string;
  readonly id: number;
}

export class Reading {
  readonly #folder: string;
  readonly #days = new Map<string, Database>();
  #state: Database | undefined;

  readonly #damaged: (day: string) => void;

  constructor(folder: string, damaged: (day: string) => void) {
    this.#folder = folder;
    this.#damaged = damaged;
  }

  get #stateFile(): string {
    return join(this.#folder, 'state.db');
  }

  #stateDb(): Database {
    // As `main` and as `state`, so that joins read the same for open flows and for days.
    this.#state ??= this.#attach(new Sqlite(this.#stateFile, { readonly: true }));
    return this.#state;
  }

  #attach(database: Database): Database {
    // Read-only, as the connection is.
    database.prepare('ATTACH ? AS state').run(this.#stateFile);
    return database;
  }

  /** undefined: the file is gone, or set aside as damaged. */
  #day(day: string): Database | undefined {
    const file = dayPath(this.#folder, day);
    const open = this.#days.get(day);
    if (open && existsSync(file)) return open;
    open?.close();
    this.#days.delete(day);
    if (!existsSync(file)) return undefined;
    const database = this.#attach(new Sqlite(file, { readonly: true }));
    this.#days.set(day, database);
    for (const old of [...this.#days.keys()].sort().slice(0, -MOST_OPEN_DAYS)) {
      this.#days.get(old)?.close();
      this.#days.delete(old);
    }
    return database;
  }

  #containers(filter: Filter): number[] | undefined {
    const conditions = containerConditions(filter);
    if (!conditions) return undefined;
    return this.#stateDb()
      .prepare(`SELECT c.id FROM state.containers c JOIN state.nodes n ON n.id = c.node ${where(conditions.sql)}`)
      .pluck()
      .all(...conditions.values) as number[];
  }

  /** Newest first: by the time of the end for a few containers, else in the order of arrival. */
  flows(filter: Filter, limit: number, cursor: Cursor | null): Page {
    const containers = this.#containers(filter);
    const found: StoredFlow[] = [];
    for (const day of listDays(this.#folder).reverse()) {
      if (cursor && day > cursor.day) continue;
      const at = cursor?.day === day ? cursor : null;
      found.push(...this.#guard(day, () => this.#flowsOfDay(day, filter, containers, limit + 1 - found.length, at)));
      if (found.length > limit) break;
    }
    const flows = found.slice(0, limit);
    const last = flows.at(-1);
    return { flows, next: found.length > limit && last ? { day: last.day, us: last.endUs, id: last.id } : null };
  }

  #guard<T>(day: string, read: () => T[]): T[] {
    try {
      return read();
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#damaged(day);
      throw new CellwallError('store_unavailable', `the flows of ${day} are damaged: the file is set aside; ask again`);
    }
  }

  #flowsOfDay(
    day: string,
    filter: Filter,
    containers: number[] | undefined,
    limit: number,
    at: Cursor | null,
  ): StoredFlow[] {
    const database = this.#day(day);
    const range = database && this.#range(database, filter);
    if (!database || !range) return [];
    const conditions = flowConditions(filter);
    if (containers && containers.length <= MOST_BY_INDEX) {
      const rows = containers.flatMap((id) => this.#byContainer(database, id, conditions, limit, at));
      return rows
        .map((row) => toStored(day, row))
        .sort((a, b) => b.endUs - a.endUs || b.id - a.id)
        .slice(0, limit);
    }
    return this.#byArrival(database, range, containers, conditions, limit, at).map((row) => toStored(day, row));
  }

  /** Where the rows of a span of time are. undefined: there are none. */
  #range(database: Database, filter: Filter): { first: number; last: number } | undefined {
    const range = database
      .prepare('SELECT min(first_id) AS first, max(last_id) AS last FROM spans WHERE last_us >= ? AND first_us <= ?')
      .get(filter.fromUs ?? 0, filter.toUs ?? Number.MAX_SAFE_INTEGER) as { first: number | null; last: number | null };
    return range.first === null || range.last === null ? undefined : { first: range.first, last: range.last };
  }

  #byContainer(database: Database, container: number, given: Conditions, limit: number, at: Cursor | null): FlowRow[] {
    const sql = ['f.container = ?', ...given.sql];
    const values: unknown[] = [container, ...given.values];
    if (at) {
      sql.push('(f.end_us, f.id) < (?, ?)');
      values.push(at.us, at.id);
    }
    // The names are joined after the rows are chosen.
    return this.#select(database, `SELECT id FROM flows f ${where(sql)} ORDER BY f.end_us DESC, f.id DESC LIMIT ?`, [
      ...values,
      limit,
    ]);
  }

  #byArrival(
    database: Database,
    range: { first: number; last: number },
    containers: number[] | undefined,
    given: Conditions,
    limit: number,
    at: Cursor | null,
  ): FlowRow[] {
    const sql = ['f.id BETWEEN ? AND ?', ...given.sql];
    const values: unknown[] = [range.first, range.last, ...given.values];
    if (containers) {
      sql.push('+f.container IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(containers));
    }
    if (at) {
      sql.push('f.id < ?');
      values.push(at.id);
    }
    return this.#select(database, `SELECT id FROM flows f ${where(sql)} ORDER BY f.id DESC LIMIT ?`, [
      ...values,
      limit,
    ]).reverse();
  }

  /** In ascending order of id for arrival, which the caller turns round; of time for a container, which the caller sorts. */
  #select(database: Database, chosen: string, values: unknown[]): FlowRow[] {
    return database
      .prepare(`SELECT ${FLOW_COLUMNS} FROM flows f ${FLOW_JOINS} WHERE f.id IN (${chosen}) ORDER BY f.id`)
      .safeIntegers()
      .all(...values) as FlowRow[];
  }

  /** Of the last reports; `end` is the time of the report. */
  openFlows(filter: Filter, limit: number): StoredFlow[] {
    const containers = this.#containers(filter);
    const { sql, values } = flowConditions(filter);
    if (containers) {
      sql.push('f.container IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(containers));
    }
    const rows = this.#stateDb()
      .prepare(
        `SELECT ${FLOW_COLUMNS} FROM open_flows f ${FLOW_JOINS} ${where(sql)} ORDER BY f.end_us - f.duration DESC, f.id LIMIT ?`,
      )
      .safeIntegers()
      .all(...values, limit) as FlowRow[];
    return rows.map((row) => toStored('open', row));
  }

  position(): Position {
    const day = listDays(this.#folder).at(-1);
    const database = day && this.#day(day);
    if (!day || !database) return { day: '', id: 0 };
    return { day, id: (database.prepare('SELECT max(id) FROM flows').pluck().get() as number | null) ?? 0 };
  }

  /** In the order of arrival, from behind a position. */
  after(filter: Filter, position: Position, limit: number): { flows: StoredFlow[]; position: Position } {
    const containers = this.#containers(filter);
    for (const day of listDays(this.#folder)) {
      const database = day >= position.day ? this.#day(day) : undefined;
      if (!database) continue;
      const from = day === position.day ? position.id : 0;
      const top = (database.prepare('SELECT max(id) FROM flows').pluck().get() as number | null) ?? 0;
      if (top <= from) continue;
      const { sql, values } = flowConditions(filter);
      sql.push('f.id > ?', 'f.id <= ?');
      values.push(from, top);
      if (containers) {
        sql.push('+f.container IN (SELECT value FROM json_each(?))');
        values.push(JSON.stringify(containers));
      }
      const rows = this.#select(database, `SELECT id FROM flows f ${where(sql)} ORDER BY f.id LIMIT ?`, [
        ...values,
        limit,
      ]);
      const flows = rows.map((row) => toStored(day, row));
      return { flows, position: { day, id: flows.length === limit ? (flows.at(-1)?.id ?? top) : top } };
    }
    return { flows: [], position };
  }

  containers(): Record<string, unknown>[] {
    return this.#stateDb()
      .prepare(
        `SELECT n.name AS node, CAST(c.cgroup AS TEXT) AS cgroupId, c.namespace, c.pod, c.name AS container, c.image, c.runtime,
          c.runtime_id AS runtimeId, c.labels, c.addresses, c.first_us AS firstUs, c.last_us AS lastUs, c.gone_us AS goneUs
         FROM containers c JOIN nodes n ON n.id = c.node ORDER BY c.namespace, c.pod, c.name, c.id`,
      )
      .all() as Record<string, unknown>[];
  }

  nodes(): Record<string, unknown>[] {
    return this.#stateDb()
      .prepare(
        `SELECT n.name, n.epoch, n.hello, n.last_seen_us AS lastSeenUs, n.applied_generation AS appliedGeneration,
          n.applied_error AS appliedError, n.counters,
          (SELECT count(*) FROM containers c WHERE c.node = n.id AND c.gone_us IS NULL AND c.listed = 1) AS containers,
          (SELECT count(*) FROM open_flows o WHERE o.node = n.name) AS openFlows
         FROM nodes n ORDER BY n.name`,
      )
      .all() as Record<string, unknown>[];
  }

  /** Rows that are kept, by node. */
  stored(): { node: string; flows: number }[] {
    return listDays(this.#folder).flatMap((day) =>
      this.#guard(
        day,
        () =>
          (this.#day(day)?.prepare('SELECT node, sum(flows) AS flows FROM progress GROUP BY node').all() ?? []) as {
            node: string;
            flows: number;
          }[],
      ),
    );
  }

  /** Lost flow records by node and reason. */
  losses(): { node: string; reason: number; count: number }[] {
    const kernel = this.#stateDb()
      .prepare('SELECT node, reason, sum(total) AS count FROM kernel_losses GROUP BY node, reason')
      .all();
    const holes = listDays(this.#folder).flatMap((day) =>
      this.#guard(
        day,
        () =>
          this.#day(day)
            ?.prepare(
              'SELECT node, reason, sum(last_event - first_event + 1) AS count FROM losses GROUP BY node, reason',
            )
            .all() ?? [],
      ),
    );
    return [...kernel, ...holes] as { node: string; reason: number; count: number }[];
  }

  summary(): { days: number; oldestDay: string | null; bytes: number; flows: number } {
    const days = listDays(this.#folder);
    const bytes = days.reduce((sum, day) => sum + bytesOf(dayPath(this.#folder, day)), bytesOf(this.#stateFile));
    return {
      days: days.length,
      oldestDay: days[0] ?? null,
      bytes,
      flows: this.stored().reduce((sum, { flows }) => sum + flows, 0),
    };
  }

  close(): void {
    for (const database of this.#days.values()) database.close();
    this.#state?.close();
  }
}
