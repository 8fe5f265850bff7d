// SPDX-License-Identifier: Apache-2.0
//
// What there is, and how much of it.
import { readdirSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import type { Filter } from '../flows/filter.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { bytesOf, dayPath } from './days.js';
import { compileFilter, type Names, where } from './flow_query.js';
import type { Outage } from './outages.js';
import { type ListenerRow, toListener } from './who.js';

const WINDOW_US = 60e6;

export interface ContainerRow {
  readonly node: string;
  readonly cgroupId: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly image: string;
  readonly runtime: string;
  readonly runtimeId: string;
  /** JSON, as addresses. */
  readonly labels: string;
  readonly addresses: string;
  /** By the owners of the pod; '': not known. */
  readonly workload: string;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly goneUs: number | null;
}

export interface NodeRow {
  readonly name: string;
  readonly epoch: string;
  /** JSON of cellwall.v1.Hello. */
  readonly hello: string;
  readonly lastSeenUs: number;
  readonly appliedGeneration: number;
  readonly appliedError: string | null;
  /** JSON. */
  readonly counters: string;
  readonly containers: number;
  readonly openFlows: number;
}

/** A minute of look-ups of one name by one container. */
export interface LookupRow {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly cgroupId: string;
  readonly node: string;
  readonly windowUs: number;
  readonly name: string;
  readonly type: number;
  /** Of cellwall.v1.LookupResult. */
  readonly result: number;
  readonly count: number;
  /** JSON. */
  readonly addresses: string;
}

export interface Loss {
  readonly node: string;
  /** Of cellwall.v1.LossReason. */
  readonly reason: number;
  readonly count: number;
}

export interface Gap extends Loss {
  readonly epoch: string;
  /** When what is missing was made; null: not known. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
  readonly noticedUs: number;
}

export interface Summary {
  readonly days: number;
  readonly oldestDay: string | null;
  readonly bytes: number;
  readonly flows: number;
  /** Names of damaged files that were set aside. */
  readonly setAside: readonly string[];
}

export class Inventory {
  readonly #connections: Connections;
  readonly #names: Names;

  constructor(connections: Connections, names: Names) {
    this.#connections = connections;
    this.#names = names;
  }

  containers(withGone: boolean): ContainerRow[] {
    return this.#connections
      .state()
      .prepare(
        `SELECT n.name AS node, CAST(c.cgroup AS TEXT) AS cgroupId, c.namespace, c.pod, c.name AS container, c.image, c.runtime,
          c.runtime_id AS runtimeId, c.labels, c.addresses, c.workload, c.first_us AS firstUs, c.last_us AS lastUs, c.gone_us AS goneUs
         FROM containers c JOIN nodes n ON n.id = c.node WHERE ? OR c.gone_us IS NULL ORDER BY c.namespace, c.pod, c.name, c.id`,
      )
      .all(Number(withGone)) as ContainerRow[];
  }

  nodes(): NodeRow[] {
    return this.#connections
      .state()
      .prepare(
        `SELECT n.name, n.epoch, n.hello, n.last_seen_us AS lastSeenUs, n.applied_generation AS appliedGeneration,
          n.applied_error AS appliedError, n.counters,
          (SELECT count(*) FROM containers c WHERE c.node = n.id AND c.gone_us IS NULL AND c.listed = 1) AS containers,
          (SELECT count(*) FROM open_flows o WHERE o.node = n.name) AS openFlows
         FROM nodes n ORDER BY n.name`,
      )
      .all() as NodeRow[];
  }

  #eachDay<T>(sql: string): T[] {
    return this.#connections
      .days()
      .flatMap((day) => this.#connections.ask(day, (database) => database.prepare(sql).all() as T[]) ?? []);
  }

  /** Who listens where, now or, with those that have stopped, ever. */
  listeners(withGone: boolean): ListenerRow[] {
    const rows = this.#connections
      .state()
      .prepare(
        `SELECT c.namespace, c.pod, c.name AS container, c.cgroup, n.name AS node, l.protocol, l.high, l.low, l.port, l.process,
          s.text AS process_name, l.first_us, l.gone_us
         FROM listeners l JOIN containers c ON c.id = l.container JOIN nodes n ON n.id = c.node LEFT JOIN strings s ON s.id = l.process_name
         WHERE ${costs('l.id')} AND (? OR (l.gone_us IS NULL AND c.gone_us IS NULL)) ORDER BY c.namespace, c.pod, c.name, l.port, l.id`,
      )
      .safeIntegers()
      .all(Number(withGone)) as Record<string, bigint | string | null>[];
    return rows.map(toListener);
  }

  /** Names that containers asked for, newest window first. Names match a GLOB pattern. */
  lookups(filter: Filter, results: readonly number[] | null, limit: number): LookupRow[] {
    const { containers } = compileFilter(
      { ...filter, name: undefined, sinceUs: undefined, untilUs: undefined },
      this.#names,
    );
    const conditions = ['l.window_us >= ?', 'l.window_us <= ?', costs('l.name'), 's.text GLOB ?'];
    const values: (number | string)[] = [
      (filter.sinceUs ?? 0) - WINDOW_US,
      filter.untilUs ?? Number.MAX_SAFE_INTEGER,
      filter.name?.replace(/[[?]/g, '[$&]') ?? '*',
    ];
    if (containers) conditions.push('l.container IN (SELECT value FROM json_each(?))');
    if (containers) values.push(JSON.stringify(containers));
    if (results) conditions.push(`l.result IN (${results.map(Number).join(',')})`);
    const found: LookupRow[] = [];
    for (const day of this.#connections.days().reverse()) {
      if (found.length >= limit) break;
      const rows = this.#connections.ask(
        day,
        (database) =>
          database
            .prepare(
              `SELECT c.namespace, c.pod, c.name AS container, CAST(c.cgroup AS TEXT) AS cgroupId, n.name AS node, l.window_us AS windowUs,
                s.text AS name, l.type, l.result, l.count, l.addresses
               FROM lookups l JOIN state.containers c ON c.id = l.container JOIN state.nodes n ON n.id = c.node
               JOIN state.strings s ON s.id = l.name ${where(conditions)} ORDER BY l.window_us DESC, s.text, l.type LIMIT ?`,
            )
            .all(...values, limit - found.length) as LookupRow[],
      );
      found.push(...(rows ?? []));
    }
    return found;
  }

  /** Texts that domain names and SNI begin with, as flows have them. */
  names(prefix: string, limit: number): string[] {
    return this.#connections
      .state()
      .prepare(
        `SELECT text FROM strings WHERE ${costs('id')} AND text GLOB ? AND text GLOB '*.*' AND text NOT GLOB '* *' ORDER BY text LIMIT ?`,
      )
      .pluck()
      .all(`${prefix.replace(/[[?*]/g, '[$&]')}*`, limit) as string[];
  }

  /** Rows that are kept, by node; a node can have several entries. */
  stored(): { node: string; flows: number }[] {
    return this.#eachDay('SELECT node, sum(flows) AS flows FROM progress GROUP BY node');
  }

  /** Flow records that were made and are not stored; a node can have several entries for a reason. */
  losses(): Loss[] {
    const inKernel = this.#connections
      .state()
      .prepare('SELECT node, reason, sum(total) AS count FROM kernel_losses GROUP BY node, reason')
      .all() as Loss[];
    const holes = this.#eachDay<Loss>(
      'SELECT node, reason, sum(coalesce(count, last_event - first_event + 1)) AS count FROM losses GROUP BY node, reason',
    );
    return [...inKernel, ...holes];
  }

  /** Newest first. */
  outages(limit: number): Outage[] {
    return this.#connections
      .state()
      .prepare('SELECT began_us AS beganUs, ended_us AS endedUs, cause FROM outages ORDER BY began_us DESC LIMIT ?')
      .all(limit) as Outage[];
  }

  /** Gaps in the record, the newest first. What the kernel has lost is one gap for each reason and epoch. */
  gaps(node: string | null, sinceUs: number, limit: number): Gap[] {
    const conditions = where(['noticedUs >= ?', ...(node === null ? [] : ['node = ?'])]);
    const values = [sinceUs, ...(node === null ? [] : [node]), limit];
    const ask = (database: Database, columns: string) =>
      database
        .prepare(`SELECT * FROM (SELECT ${columns}) ${conditions} ORDER BY noticedUs DESC LIMIT ?`)
        .all(...values) as Gap[];
    const inKernel = ask(
      this.#connections.state(),
      'node, epoch, reason, total AS count, first_us AS firstUs, last_us AS lastUs, last_us AS noticedUs FROM kernel_losses',
    );
    const holes = this.#connections.days().flatMap(
      (day) =>
        this.#connections.ask(day, (database) =>
          ask(
            database,
            `node, epoch, reason, coalesce(count, last_event - first_event + 1) AS count, first_us AS firstUs, last_us AS lastUs,
             noticed_us AS noticedUs FROM losses`,
          ),
        ) ?? [],
    );
    return [...inKernel, ...holes].sort((a, b) => b.noticedUs - a.noticedUs).slice(0, limit);
  }

  summary(): Summary {
    const { folder, stateFile } = this.#connections;
    const days = this.#connections.days();
    return {
      days: days.length,
      oldestDay: days[0] ?? null,
      bytes: days.reduce((sum, day) => sum + bytesOf(dayPath(folder, day)), bytesOf(stateFile)),
      flows: this.stored().reduce((sum, { flows }) => sum + flows, 0),
      setAside: readdirSync(folder).filter((name) => name.includes('.db.corrupt-') && !/-(wal|shm)$/.test(name)),
    };
  }
}
