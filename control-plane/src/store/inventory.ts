// SPDX-License-Identifier: Apache-2.0
//
// What there is, and how much of it.
import { readdirSync } from 'node:fs';
import type { Connections } from './connections.js';
import { bytesOf, dayPath } from './storage.js';

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

export interface Loss {
  readonly node: string;
  /** Of cellwall.v1.LossReason. */
  readonly reason: number;
  readonly count: number;
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

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  containers(withGone: boolean): ContainerRow[] {
    return this.#connections
      .state()
      .prepare(
        `SELECT n.name AS node, CAST(c.cgroup AS TEXT) AS cgroupId, c.namespace, c.pod, c.name AS container, c.image, c.runtime,
          c.runtime_id AS runtimeId, c.labels, c.addresses, c.first_us AS firstUs, c.last_us AS lastUs, c.gone_us AS goneUs
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
      'SELECT node, reason, sum(last_event - first_event + 1) AS count FROM losses GROUP BY node, reason',
    );
    return [...inKernel, ...holes];
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
