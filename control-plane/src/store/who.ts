// SPDX-License-Identifier: Apache-2.0
//
// Who was behind an address and port at a time: the question that somebody else's log raises.
import type { Database } from 'better-sqlite3';
import { endsOf } from '../flows/ends.js';
import { type Endpoint, isEgress, type StoredFlow, unpackKind } from '../flows/record.js';
import { addressText } from '../policy/network.js';
import { toBits, toHalves } from './addresses.js';
import { costs } from './budget.js';
import type { Connections } from './connections.js';
import { dayOf } from './days.js';
import { HOUR_US } from './edge_columns.js';
import { flowsById, type Reading, rangeOf } from './reading.js';

const MOST = 100;
/** Rows behind the time that are looked through for a service: those of flows that lasted longer are not found. */
const MOST_ROWS = 1_000_000;

export interface WhoQuestion {
  /** 128 bits. */
  readonly address: bigint;
  readonly port: number;
  /** IP protocol number; undefined: any. */
  readonly protocol: number | undefined;
  readonly atUs: number;
  /** How far the asker's clock may be off. */
  readonly slackUs: number;
}

export interface ListenerRow {
  readonly container: { namespace: string; pod: string; container: string; cgroupId: string; node: string };
  readonly protocol: number;
  readonly address: string;
  readonly port: number;
  readonly processId: number;
  readonly processName: string;
  readonly firstUs: number;
  readonly goneUs: number | null;
}

export interface WhoAnswer {
  /** Flows that were going on then and began at that address and port: seen from inside, or from outside after NAT. */
  readonly callers: StoredFlow[];
  /** Sockets that accepted there. */
  readonly listeners: ListenerRow[];
  /** Flows that were going on then towards that address and port. */
  readonly called: StoredFlow[];
}

const is = (end: Endpoint | undefined, address: string, port: number): boolean =>
  end !== undefined && end.port === port && end.address === address;

export class Who {
  readonly #connections: Connections;
  readonly #reading: Reading;

  constructor(connections: Connections, reading: Reading) {
    this.#connections = connections;
    this.#reading = reading;
  }

  ask(question: WhoQuestion): WhoAnswer {
    const address = addressText(question.address);
    const { port } = question;
    const open = this.#reading.openWithPorts([port]).filter((flow) => goesOn(flow, question, true));
    const began = (flow: StoredFlow) =>
      is(endsOf(flow)?.caller, address, port) ||
      is(flow.translation?.source, address, port) ||
      (isEgress(flow) && is({ address: flow.local, port: flow.localPort }, address, port));
    const reached = (flow: StoredFlow) =>
      is(endsOf(flow)?.server, address, port) ||
      is(flow.translation?.destination, address, port) ||
      (isEgress(flow) && is({ address: flow.remote, port: flow.remotePort }, address, port));
    const callers = [...open, ...this.#ended(question)].filter(began);
    const listeners = this.#listeners(question, address);
    const called = callers.length > 0 ? [] : [...open.filter(reached), ...this.#towards(question)];
    return { callers: nearest(callers, question.atUs), listeners, called: nearest(called, question.atUs) };
  }

  /** A flow that went on at a time is stored when it ends: on that day or later. */
  #days({ atUs, slackUs }: WhoQuestion): string[] {
    const first = dayOf(atUs - slackUs);
    return this.#connections.days().filter((day) => day >= first);
  }

  #ended(question: WhoQuestion): StoredFlow[] {
    const from = question.atUs - question.slackUs;
    return this.#days(question).flatMap(
      (day) =>
        this.#connections.ask(day, (database, ports) =>
          flowsById(database, day, ports.find(question.port, from, Number.MAX_SAFE_INTEGER)).filter((flow) =>
            goesOn(flow, question, false),
          ),
        ) ?? [],
    );
  }

  /** Flows that asked for the address, as service or as backend. */
  #towards(question: WhoQuestion): StoredFlow[] {
    return this.#days(question).flatMap(
      (day) => this.#connections.ask(day, (database) => flowsById(database, day, idsTowards(database, question))) ?? [],
    );
  }

  #listeners(question: WhoQuestion, address: string): ListenerRow[] {
    const { atUs, slackUs, port, protocol } = question;
    const rows = this.#connections
      .state()
      .prepare(
        `SELECT c.namespace, c.pod, c.name AS container, c.cgroup, n.name AS node, c.addresses, n.hello, l.protocol, l.high, l.low,
          l.port, l.process, s.text AS process_name, l.first_us, l.gone_us
         FROM listeners l JOIN containers c ON c.id = l.container JOIN nodes n ON n.id = c.node LEFT JOIN strings s ON s.id = l.process_name
         WHERE l.port = ? AND l.first_us <= ? AND coalesce(l.gone_us, ?) >= ?`,
      )
      .safeIntegers()
      .all(port, atUs + slackUs, Number.MAX_SAFE_INTEGER, atUs - slackUs) as Record<string, bigint | string | null>[];
    return rows
      .filter((row) => protocol === undefined || Number(row.protocol) === protocol)
      .filter((row) => listensAt(row, address))
      .map(toListener);
  }
}

/** Containers that called the address, or accepted on the port, in that hour or later: out of the sums. */
function callersOf(database: Database, { address, port, atUs, slackUs }: WhoQuestion): number[] {
  const { high, low } = toHalves(address);
  return database
    .prepare(
      `SELECT DISTINCT container FROM edges WHERE hour >= ? AND ${costs('first_us')} AND CASE WHEN (kind >> 8) & 3 = 1
         THEN (port = ? AND peer_low = ? AND peer_high = ?) OR (backend_port = ? AND backend_low = ? AND backend_high = ?)
         ELSE port = ? END LIMIT ?`,
    )
    .pluck()
    .all(Math.floor((atUs - slackUs) / HOUR_US), port, low, high, port, low, high, port, MOST) as number[];
}

function idsTowards(database: Database, question: WhoQuestion): number[] {
  const { port, atUs, slackUs } = question;
  const { high, low } = toHalves(question.address);
  const range = rangeOf(database, { sinceUs: atUs - slackUs });
  if (!range) return [];
  const digested = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
  const select = (place: string) =>
    database
      .prepare(
        `SELECT f.id FROM flows f LEFT JOIN translations t ON t.id = f.id
         WHERE ${place} AND ${costs('f.id')} AND f.end_us >= ? AND f.end_us - f.duration <= ?
           AND ((f.remote_port = ? AND f.remote_low = ? AND f.remote_high = ? AND (f.kind >> 8) & 3 = 1)
             OR (t.destination_port = ? AND t.destination_low = ? AND t.destination_high = ?)
             OR (f.local_port = ? AND f.local_low = ? AND f.local_high = ? AND (f.kind >> 8) & 3 = 2))
         ORDER BY f.id LIMIT ?`,
      )
      .pluck();
  const wanted = [atUs - slackUs, atUs + slackUs, ...[port, low, high, port, low, high, port, low, high], MOST];
  const ofContainer = select('f.container = ? AND f.id BETWEEN ? AND ?');
  const last = Math.min(digested, range.first + MOST_ROWS);
  const ids = callersOf(database, question).flatMap((id) => ofContainer.all(id, range.first, last, ...wanted));
  const fresh = select('f.id >= ?').all(Math.max(digested + 1, range.first), ...wanted);
  return [...ids, ...fresh] as number[];
}

function listensAt(row: Record<string, bigint | string | null>, address: string): boolean {
  const own = addressText(toBits(row.high as bigint, row.low as bigint));
  if (own === address) return true;
  if (own !== '0.0.0.0' && own !== '::') return false;
  const ofNode = (JSON.parse(row.hello as string) as { addresses?: string[] }).addresses ?? [];
  const ofPod = JSON.parse(row.addresses as string) as string[];
  // Containers on the node's own network have its addresses.
  return ofPod.includes(address) || (ofPod.length === 0 && ofNode.includes(address));
}

export function toListener(row: Record<string, bigint | string | null>): ListenerRow {
  return {
    container: {
      namespace: row.namespace as string,
      pod: row.pod as string,
      container: row.container as string,
      cgroupId: String(row.cgroup),
      node: row.node as string,
    },
    protocol: Number(row.protocol),
    address: addressText(toBits(row.high as bigint, row.low as bigint)),
    port: Number(row.port),
    processId: Number(row.process),
    processName: (row.process_name as string | null) ?? '',
    firstUs: Number(row.first_us),
    goneUs: row.gone_us === null || row.gone_us === undefined ? null : Number(row.gone_us),
  };
}

/** Was it going on at that time? A flow whose start is unknown counts for the time of its end only. */
function goesOn(flow: StoredFlow, { atUs, slackUs, protocol }: WhoQuestion, open: boolean): boolean {
  const { protocol: own } = unpackKind(flow.kind);
  if (protocol !== undefined && own !== protocol) return false;
  const begin = flow.endUs - (flow.durationUs ?? 0);
  return begin - slackUs <= atUs && (open || atUs <= flow.endUs + slackUs);
}

function nearest(flows: StoredFlow[], us: number): StoredFlow[] {
  const distance = (flow: StoredFlow) => {
    const begin = flow.endUs - (flow.durationUs ?? 0);
    return us < begin ? begin - us : Math.max(us - flow.endUs, 0);
  };
  return flows.sort((a, b) => distance(a) - distance(b) || b.endUs - a.endUs).slice(0, MOST);
}
