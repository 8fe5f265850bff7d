// SPDX-License-Identifier: Apache-2.0
//
// Who called whom, summed up: whole hours from the roll-ups, the rest from the rows; of days that are gone, whole hours alone.
import type { Database } from 'better-sqlite3';
import { type Translation, unpackKind } from '../flows/record.js';
import { addressText } from '../policy/network.js';
import { toBits } from './addresses.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { dayOf } from './days.js';
import type { Directory, LabelledPeer } from './directory.js';
import { EDGE_GROUP, EDGE_KEYS, EDGE_SUMS, edgeFlows, HOUR_US } from './edge_columns.js';
import { type EdgeRow, EdgeTable, KEYS } from './edge_table.js';
import type { Conditions } from './flow_query.js';
import { rangeOf } from './reading.js';
import { listMonths } from './roll_ups.js';

/** More rows than this are not summed up one by one: hours are taken whole then. */
const MOST_ROWS = 500_000;
const DAY_US = 86_400e6;

export interface Edge {
  readonly container: {
    readonly node: string;
    readonly namespace: string;
    readonly pod: string;
    readonly container: string;
    readonly cgroupId: string;
    readonly image: string;
    /** JSON. */
    readonly labels: string;
    readonly workload: string;
    readonly addresses: string;
  };
  /** The conditions on the container hold. */
  readonly wanted: boolean;
  readonly kind: number;
  /** Egress: what was asked for. Ingress: the caller. */
  readonly address: string;
  /** Of the server. */
  readonly port: number;
  readonly backend: Translation['destination'] | null;
  /** Egress, translated: the address that the far side sees. */
  readonly outside: string | null;
  readonly name: string | null;
  readonly peer: LabelledPeer | null;
  readonly rulePolicy: string | null;
  readonly ruleName: string | null;
  readonly rule: number;
  readonly flows: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

export interface Edges {
  readonly edges: Edge[];
  /** What the sums are of, when hours were taken whole. */
  readonly sinceUs: number;
  readonly untilUs: number;
}

interface Times {
  readonly sinceUs: number;
  readonly untilUs: number;
}

export class EdgeReading {
  readonly #connections: Connections;
  readonly #directory: Directory;

  constructor(connections: Connections, directory: Directory) {
    this.#connections = connections;
    this.#directory = directory;
  }

  /** conditions: on the container `c` and its node `n`. onlyWanted: edges that do not fulfil them are left out. */
  edges(times: Times, conditions: Conditions, onlyWanted = false): Edges {
    const sums = new EdgeTable(onlyWanted ? this.#wanted(conditions) : undefined);
    let covered = times;
    for (const day of this.#connections.days()) {
      if (day < dayOf(times.sinceUs - DAY_US) || day > dayOf(times.untilUs + DAY_US)) continue;
      this.#connections.ask(day, (database) => {
        const plan = planFor(database, times);
        covered = {
          sinceUs: Math.min(covered.sinceUs, plan.sinceUs),
          untilUs: Math.max(covered.untilUs, plan.untilUs),
        };
        for (const row of hours(database, plan)) sums.add(row);
        for (const row of remainder(database, plan)) sums.add(row);
      });
    }
    for (const month of listMonths(this.#connections.folder)) {
      const plan = wholeHours(times);
      if (month < dayOf(times.sinceUs - DAY_US).slice(0, 7) || month > dayOf(times.untilUs + DAY_US).slice(0, 7))
        continue;
      const found = this.#connections.askMonth(month, (database) => {
        let any = false;
        for (const row of hours(database, plan)) {
          sums.add(row);
          any = true;
        }
        return any;
      });
      if (found)
        covered = {
          sinceUs: Math.min(covered.sinceUs, plan.sinceUs),
          untilUs: Math.max(covered.untilUs, plan.untilUs),
        };
    }
    return { edges: this.#named(sums.rows, conditions), ...covered };
  }

  /** Of the days whose rows are gone. null: there are none in that time. */
  firstOfMonths({ sinceUs, untilUs }: Times): number | null {
    for (const month of listMonths(this.#connections.folder)) {
      const first = this.#connections.askMonth(
        month,
        (database) =>
          database
            .prepare(
              'SELECT min(first_us) FROM edges WHERE hour = (SELECT min(hour) FROM edges WHERE hour BETWEEN ? AND ?)',
            )
            .pluck()
            .get(hourOf(sinceUs), hourOf(untilUs)) as number | null,
      );
      if (first !== null) return Math.max(first, sinceUs);
    }
    return null;
  }

  #wanted({ sql, values }: Conditions): Set<bigint> {
    const ids = this.#connections
      .state()
      .prepare(`SELECT c.id FROM containers c JOIN nodes n ON n.id = c.node WHERE ${sql.join(' AND ') || '1'}`)
      .safeIntegers()
      .pluck()
      .all(...values) as bigint[];
    return new Set(ids);
  }

  #named(rows: readonly EdgeRow[], conditions: Conditions): Edge[] {
    const state = this.#connections.state();
    const containers = new Map(
      (
        state
          .prepare(
            `SELECT c.id, n.name AS node, c.namespace, c.pod, c.name AS container, CAST(c.cgroup AS TEXT) AS cgroupId, c.image, c.labels,
              c.workload, c.addresses,
              ${conditions.sql.join(' AND ') || '1'} AS wanted
             FROM containers c JOIN nodes n ON n.id = c.node`,
          )
          .all(...conditions.values) as (Edge['container'] & { id: number; wanted: number })[]
      ).map(({ id, wanted, ...container }) => [BigInt(id), { container, wanted: wanted === 1 }]),
    );
    const text = state.prepare('SELECT text FROM strings WHERE id = ?').pluck();
    const rule = state.prepare('SELECT policy, rule FROM rules WHERE id = ?');
    return rows.flatMap((row) => {
      const known = containers.get(row.container);
      if (!known) return [];
      const { policy, rule: ruleName } = (rule.get(row.rule) ?? { policy: null, rule: null }) as {
        policy: string | null;
        rule: string | null;
      };
      const edge = toEdge(row, known, (text.get(row.name) as string | undefined) ?? null);
      return [{ ...edge, rulePolicy: policy, ruleName, peer: this.#peerOf(edge) }];
    });
  }

  #peerOf(edge: Omit<Edge, 'peer' | 'rulePolicy' | 'ruleName'>): LabelledPeer | null {
    const { protocol, direction } = unpackKind(edge.kind);
    const server = edge.backend ?? { address: edge.address, port: edge.port };
    const port = direction === 1 ? server.port : 0;
    return this.#directory.peerAt(server.address, port, protocol, edge.lastUs, edge.container.node);
  }
}

interface Plan extends Times {
  /** Hours of the roll-up that are taken whole: first to last, both included. */
  readonly firstHour: number;
  readonly lastHour: number;
  /** Rows up to this one are in the roll-up. */
  readonly digested: number;
}

const hourOf = (us: number): number => Math.floor(us / HOUR_US);

/** Hours that are asked for in part are summed up row by row, unless that would be too many rows. */
function planFor(database: Database, { sinceUs, untilUs }: Times): Plan {
  const digested = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
  const firstHour = Math.ceil(sinceUs / HOUR_US);
  const lastHour = hourOf(untilUs + 1) - 1;
  const rows = database
    .prepare('SELECT coalesce(sum(flows), 0) FROM edges WHERE hour IN (?, ?) AND NOT hour BETWEEN ? AND ?')
    .pluck()
    .get(hourOf(sinceUs), hourOf(untilUs), firstHour, lastHour) as number;
  if (rows <= MOST_ROWS) return { sinceUs, untilUs, firstHour, lastHour, digested };
  return { ...wholeHours({ sinceUs, untilUs }), digested };
}

function wholeHours({ sinceUs, untilUs }: Times): Omit<Plan, 'digested'> {
  const whole = { firstHour: hourOf(sinceUs), lastHour: hourOf(untilUs) };
  return { sinceUs: whole.firstHour * HOUR_US, untilUs: (whole.lastHour + 1) * HOUR_US - 1, ...whole };
}

function hours(database: Database, { firstHour, lastHour }: Pick<Plan, 'firstHour' | 'lastHour'>): Iterable<EdgeRow> {
  return database
    .prepare(
      `SELECT ${KEYS}, sum(flows) AS flows, sum(sent) AS sent, sum(received) AS received, min(first_us) AS first_us, max(last_us) AS last_us
       FROM edges WHERE hour BETWEEN ? AND ? AND ${costs('first_us')} GROUP BY ${KEYS}`,
    )
    .safeIntegers()
    .iterate(firstHour, lastHour) as Iterable<EdgeRow>;
}

/** Ids, without doubles, of rows that may not be in the hours that are taken whole. */
function loose(database: Database, plan: Plan): { first: number; last: number }[] {
  const ranges = [
    rangeOf(database, { sinceUs: plan.sinceUs, untilUs: Math.min(plan.untilUs, plan.firstHour * HOUR_US - 1) }),
    rangeOf(database, { sinceUs: Math.max(plan.sinceUs, (plan.lastHour + 1) * HOUR_US), untilUs: plan.untilUs }),
    { first: plan.digested + 1, last: Number.MAX_SAFE_INTEGER },
  ];
  // A wrong clock in a commit puts ranges out of order.
  const sorted = ranges.filter((it) => it !== undefined).sort((a, b) => a.first - b.first);
  let from = 1;
  return sorted.flatMap((range) => {
    const first = Math.max(range.first, from);
    from = Math.max(from, range.last + 1);
    return first <= range.last ? [{ first, last: range.last }] : [];
  });
}

function* remainder(database: Database, plan: Plan): Iterable<EdgeRow> {
  const sum = database
    .prepare(
      `SELECT ${EDGE_KEYS}, ${EDGE_SUMS} FROM ${edgeFlows()}
       WHERE f.id BETWEEN ? AND ? AND ${costs('f.id')} AND f.end_us BETWEEN ? AND ? AND (f.id > ? OR NOT f.end_us / ${HOUR_US} BETWEEN ? AND ?)
       ${EDGE_GROUP}`,
    )
    .safeIntegers();
  const { sinceUs, untilUs, digested, firstHour, lastHour } = plan;
  for (const { first, last } of loose(database, plan))
    yield* sum.iterate(first, last, sinceUs, untilUs, digested, firstHour, lastHour) as Iterable<EdgeRow>;
}

function toEdge(
  row: EdgeRow,
  { container, wanted }: Pick<Edge, 'container' | 'wanted'>,
  name: string | null,
): Omit<Edge, 'peer' | 'rulePolicy' | 'ruleName'> {
  return {
    container,
    wanted,
    kind: Number(row.kind),
    address: addressText(toBits(row.peer_high, row.peer_low)),
    port: Number(row.port),
    backend:
      row.backend_port === 0n
        ? null
        : { address: addressText(toBits(row.backend_high, row.backend_low)), port: Number(row.backend_port) },
    outside: row.backend_port === 0n ? null : addressText(toBits(row.outside_high, row.outside_low)),
    name,
    rule: Number(row.rule),
    flows: Number(row.flows),
    sentBytes: Number(row.sent),
    receivedBytes: Number(row.received),
    firstUs: Number(row.first_us),
    lastUs: Number(row.last_us),
  };
}
