// SPDX-License-Identifier: Apache-2.0
//
// Flow batches as agents send them.
import { type types, v1 } from '../ingest/wire.js';

export interface SampleFlow {
  readonly cgroup: number;
  readonly endUs: number;
  readonly durationUs?: number;
  readonly protocol?: number;
  readonly direction?: number;
  readonly verdict?: number;
  readonly end?: number;
  readonly local?: readonly number[];
  readonly localPort?: number;
  readonly remote?: readonly number[];
  readonly remotePort?: number;
  readonly sentBytes?: number;
  readonly receivedBytes?: number;
  readonly rule?: number;
  readonly generation?: number;
  readonly cookie?: number;
  readonly processName?: string;
  readonly flags?: number;
  readonly failure?: number;
  readonly payload?: number;
  readonly tlsVersion?: number;
  readonly serverName?: string;
  readonly name?: string;
  readonly source?: End;
  /** With `source`: the flow was translated. */
  readonly destination?: End;
}
type End = readonly [address: readonly number[], port: number];

class Dictionary<T> {
  readonly values: T[] = [];
  readonly #indexes = new Map<string, number>();

  index(value: T): number {
    const key = String(value);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    this.#indexes.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}

const LOCAL = [10, 0, 0, 1];
const REMOTE = [10, 0, 0, 2];

function deltas(values: readonly number[]): number[] {
  return values.map((value, index) => value - (values[index - 1] ?? 0));
}

export function columnsOf(flows: readonly SampleFlow[]): types.cellwall.v1.FlowColumns.$Properties {
  const addresses = new Dictionary<readonly number[]>();
  const cgroups = new Dictionary<number>();
  const strings = new Dictionary<string>();
  const all = (value: (flow: SampleFlow) => number) => flows.map(value);
  const columns = {
    rows: flows.length,
    cgroup: all((it) => cgroups.index(it.cgroup)),
    endTimeDelta: deltas(all((it) => it.endUs)),
    durationPlusOne: all((it) => (it.durationUs ?? -1) + 1),
    protocol: all((it) => it.protocol ?? 6),
    direction: all((it) => it.direction ?? 1),
    verdict: all((it) => it.verdict ?? 1),
    end: all((it) => it.end ?? 1),
    localAddress: all((it) => addresses.index(it.local ?? LOCAL)),
    localPort: all((it) => it.localPort ?? 40000),
    remoteAddress: all((it) => addresses.index(it.remote ?? REMOTE)),
    remotePort: all((it) => it.remotePort ?? 443),
    sentBytesPlusOne: all((it) => (it.sentBytes ?? 99) + 1),
    receivedBytesPlusOne: all((it) => (it.receivedBytes ?? 200) + 1),
    sentPackets: all(() => 3),
    receivedPackets: all(() => 4),
    rttUs: all(() => 80),
    retransmits: all(() => 0),
    rule: all((it) => it.rule ?? 0),
    generation: all((it) => it.generation ?? 0),
    cookieDelta: deltas(all((it) => it.cookie ?? 0)),
    processId: all(() => 4242),
    processName: all((it) => strings.index(it.processName ?? 'curl')),
    flags: all((it) => it.flags ?? 0),
  };
  const some = <T>(value: (flow: SampleFlow) => T | undefined) => {
    const rows = flows.flatMap((flow, row) => {
      const given = value(flow);
      return given === undefined ? [] : [{ row, flow, given }];
    });
    return { rows, row: rows.map(({ row }) => row) };
  };
  const ends = some((it) => it.source && it.destination && ([it.source, it.destination] as const));
  const names = some((it) => it.name);
  const payloads = some((it) => it.payload);
  const failures = some((it) => it.failure);
  const sparse = {
    translations: {
      row: ends.row,
      sourceAddress: ends.rows.map(({ given: [source] }) => addresses.index(source[0])),
      sourcePort: ends.rows.map(({ given: [source] }) => source[1]),
      destinationAddress: ends.rows.map(({ given: [, destination] }) => addresses.index(destination[0])),
      destinationPort: ends.rows.map(({ given: [, destination] }) => destination[1]),
    },
    names: { row: names.row, name: names.rows.map(({ given }) => strings.index(given)) },
    payloads: {
      row: payloads.row,
      payload: payloads.rows.map(({ given }) => given),
      tlsVersion: payloads.rows.map(({ flow }) => flow.tlsVersion ?? 0),
      serverName: payloads.rows.map(({ flow }) => (flow.serverName ? strings.index(flow.serverName) + 1 : 0)),
    },
    failures: { row: failures.row, failure: failures.rows.map(({ given }) => given) },
  };
  return {
    ...columns,
    ...sparse,
    addresses: addresses.values.map((bytes) => Uint8Array.from(bytes)),
    cgroups: cgroups.values,
    strings: strings.values,
  };
}

export function batchOf(
  sequence: number,
  firstEventIndex: number,
  flows: readonly SampleFlow[],
  more: object = {},
): Uint8Array {
  const batch = { sequence, firstEventIndex, ended: columnsOf(flows), ...more };
  return v1.FlowBatch.encode(v1.FlowBatch.create(batch)).finish();
}

/** `count` flows of one container, a microsecond apart; the last one ends at `lastUs`. */
export function plainFlows(count: number, cgroup: number, lastUs: number): SampleFlow[] {
  return Array.from({ length: count }, (_, i) => ({ cgroup, endUs: lastUs - count + 1 + i, durationUs: 1000 }));
}
