// SPDX-License-Identifier: Apache-2.0
//
// What policies are learned from, read from the store: edges of the past, connections that are open, and what is missing.
import type { Database } from 'better-sqlite3';
import type { FilterPart } from '../flows/filter.js';
import { isEgress, type StoredFlow, unpackKind } from '../flows/record.js';
import type { CoverageInput, History, Lost, Place } from '../learn/index.js';
import { labelsOf, toSeen } from '../learn/seen.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { DAY_US, dayOf } from './days.js';
import type { Directory } from './directory.js';
import { edgeKind } from './edge_columns.js';
import type { Edge, EdgeReading } from './edges.js';
import { containerConditions } from './flow_query.js';
import type { ContainerRow, Gap, Inventory } from './inventory.js';
import type { Reading } from './reading.js';

/** Open connections that are learned from; of more, the newest. */
const MOST_OPEN = 100_000;
const MOST_GAPS = 10_000;
/** A node that has said nothing for so long is named. */
const SILENT_US = 300e6;
/** Clocks may differ by so much. */
const SLACK_US = 300e6;
/** Names of cellwall.v1.LossReason whose count is a total: ringFull, stateFull. Most came through between first and last. */
const TOTALS = new Set([1, 4]);

interface Times {
  readonly sinceUs: number;
  readonly untilUs: number;
}

export interface Past {
  readonly edges: Edge[];
  /** Those that were there in that time. */
  readonly containers: readonly ContainerRow[];
  readonly coverage: CoverageInput;
}

const keyOf = (it: { node: string; cgroupId: string }): string => `${it.node} ${it.cgroupId}`;
const placeOf = ({ namespace, pod, container, node, labels, workload }: ContainerRow): Place => ({
  namespace,
  pod,
  container,
  node,
  labels: labelsOf(labels),
  workload,
});

export class Learning {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #reading: Reading;
  readonly #edges: EdgeReading;
  readonly #inventory: Inventory;

  constructor(
    connections: Connections,
    directory: Directory,
    reading: Reading,
    edges: EdgeReading,
    inventory: Inventory,
  ) {
    this.#connections = connections;
    this.#directory = directory;
    this.#reading = reading;
    this.#edges = edges;
    this.#inventory = inventory;
  }

  history(times: Times, filter: FilterPart, nowUs: number): History {
    const { edges, containers, coverage } = this.past(times, filter, nowUs);
    return { seen: edges.map(toSeen), containers: containers.map(placeOf), coverage };
  }

  /** Edges of the containers that a filter names, those of open connections among them. */
  past({ sinceUs, untilUs }: Times, filter: FilterPart, nowUs: number): Past {
    const found = this.#edges.edges({ sinceUs, untilUs }, containerConditions(filter), true);
    const rows = this.#inventory
      .containers(true)
      .filter((it) => it.firstUs <= untilUs && (it.goneUs ?? nowUs) >= sinceUs);
    const { edges } = found;
    for (const it of this.#open(filter, rows, untilUs)) edges.push(it);
    const nodes = new Set(edges.map(({ container }) => container.node));
    return {
      edges,
      containers: rows,
      coverage: {
        sinceUs: Math.min(sinceUs, found.sinceUs),
        untilUs,
        ...this.firstAndLast({ sinceUs, untilUs }),
        lost: this.#lost({ sinceUs, untilUs }, nodes),
        silent: this.#silent(nodes, Math.min(untilUs, nowUs)),
        wrongClock: this.#wrongClock({ sinceUs, untilUs }, nowUs),
      },
    };
  }

  /** Connections that have not ended are in no sum yet. */
  #open(filter: FilterPart, rows: readonly ContainerRow[], untilUs: number): Edge[] {
    const containers = new Map(rows.map((it) => [keyOf(it), it]));
    return this.#reading.openFlows({ ...filter, not: [] }, MOST_OPEN).flatMap((flow) => {
      const row = containers.get(keyOf(flow));
      const beganUs = flow.endUs - (flow.durationUs ?? 0);
      return row && beganUs <= untilUs ? [this.#edgeOf(flow, row, beganUs)] : [];
    });
  }

  #edgeOf(flow: StoredFlow, container: ContainerRow, beganUs: number): Edge {
    const egress = isEgress(flow);
    const { protocol } = unpackKind(flow.kind);
    const backend = egress ? (flow.translation?.destination ?? null) : null;
    const server = backend ?? { address: flow.remote, port: flow.remotePort };
    return {
      container,
      wanted: true,
      kind: edgeKind(flow.kind),
      address: flow.remote,
      port: egress ? flow.remotePort : flow.localPort,
      backend,
      outside: null,
      name: flow.name,
      peer: this.#directory.peerAt(server.address, egress ? server.port : 0, protocol, flow.endUs, flow.node),
      rulePolicy: null,
      ruleName: null,
      rule: flow.rule,
      flows: 1,
      sentBytes: 0,
      receivedBytes: 0,
      firstUs: beganUs,
      lastUs: flow.endUs,
    };
  }

  /** Of all flows: one namespace can be quiet for a while. */
  firstAndLast({ sinceUs, untilUs }: Times): { firstUs: number | null; lastUs: number | null } {
    const all = this.#days({ sinceUs, untilUs }).flatMap(
      (day) =>
        this.#connections.ask(
          day,
          (database) =>
            // Without commits that a wrong clock is in.
            database
              .prepare(
                `SELECT max(min(first_us), ?) AS first, min(max(last_us), ?) AS last FROM spans
                 WHERE last_us BETWEEN ? AND ? AND first_us BETWEEN ? AND ?`,
              )
              .all(sinceUs, untilUs, sinceUs, untilUs + SLACK_US, Date.parse(day) * 1000 - DAY_US, untilUs) as {
              first: number | null;
              last: number | null;
            }[],
        ) ?? [],
    );
    const firsts = all.flatMap((it) => it.first ?? []);
    const lasts = all.flatMap((it) => it.last ?? []);
    const rolledUp = this.#edges.firstOfMonths({ sinceUs, untilUs });
    if (rolledUp !== null) firsts.push(rolledUp);
    return {
      firstUs: firsts.length > 0 ? Math.min(...firsts) : null,
      lastUs: lasts.length > 0 ? Math.max(...lasts) : rolledUp,
    };
  }

  #days({ sinceUs, untilUs }: Times): string[] {
    return this.#connections.days().filter((day) => day >= dayOf(sinceUs - DAY_US) && day <= dayOf(untilUs + DAY_US));
  }

  #lost({ sinceUs, untilUs }: Times, nodes: ReadonlySet<string>): Lost[] {
    const overlaps = ({ firstUs, lastUs, noticedUs }: Gap) =>
      (firstUs || noticedUs) <= untilUs && (lastUs || noticedUs) >= sinceUs;
    return this.#inventory
      .gaps(null, sinceUs, MOST_GAPS)
      .filter((it) => (nodes.size === 0 || nodes.has(it.node)) && overlaps(it))
      .map(({ count, firstUs, lastUs, reason }) => {
        const isExact = firstUs !== null && firstUs > 0 && lastUs !== null && !TOTALS.has(reason);
        return { count, hole: isExact ? { fromUs: firstUs, toUs: lastUs } : null };
      });
  }

  #silent(nodes: ReadonlySet<string>, untilUs: number): { node: string; lastUs: number }[] {
    return this.#inventory
      .nodes()
      .filter((it) => nodes.has(it.name) && it.lastSeenUs < untilUs - SILENT_US)
      .map(({ name, lastSeenUs }) => ({ node: name, lastUs: lastSeenUs }));
  }

  /** What is dated far from its day stands in the file of the day on which it came. */
  #wrongClock(times: Times, nowUs: number): number {
    return this.#days(times).reduce((sum, day) => {
      const beginUs = Date.parse(day) * 1000;
      const bounds = { firstUs: beginUs - DAY_US, lastUs: Math.min(beginUs + 2 * DAY_US, nowUs + SLACK_US) };
      return sum + (this.#connections.ask(day, (database) => outside(database, bounds)) ?? 0);
    }, 0);
  }
}

function outside(database: Database, { firstUs, lastUs }: { firstUs: number; lastUs: number }): number {
  const spans = database
    .prepare('SELECT first_id AS first, last_id AS last FROM spans WHERE first_us < ? OR last_us > ?')
    .all(firstUs, lastUs) as { first: number; last: number }[];
  const count = database
    .prepare(
      `SELECT coalesce(sum(coalesce(m.count, 1)), 0) FROM flows f LEFT JOIN counts m ON m.id = f.id
       WHERE f.id BETWEEN ? AND ? AND ${costs('f.id')} AND (f.end_us < ? OR f.end_us > ?)`,
    )
    .pluck();
  return spans.reduce((sum, { first, last }) => sum + (count.get(first, last, firstUs, lastUs) as number), 0);
}
