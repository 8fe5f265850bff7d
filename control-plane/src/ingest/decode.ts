// SPDX-License-Identifier: Apache-2.0
import { CellwallError } from '../errors.js';
import { packKind } from '../flows/record.js';
import { type types, v1 } from './wire.js';

/** Half of an address as SQLite stores it: signed 64 bits. IPv4 is ::ffff:a.b.c.d, whose halves are plain numbers. */
export type Half = number | bigint;

export interface DecodedAddress {
  readonly high: Half;
  readonly low: Half;
}

/** Columns of one message, checked: all have `rows` entries, and indexes point into their dictionaries. */
export interface DecodedFlows {
  readonly rows: number;
  readonly addresses: readonly DecodedAddress[];
  readonly cgroups: readonly number[];
  readonly strings: readonly string[];
  readonly columns: types.cellwall.v1.FlowColumns;
}

export interface DecodedBatch {
  readonly sequence: number;
  /** 0: the batch covers no events. */
  readonly firstEventIndex: number;
  readonly ended: DecodedFlows | undefined;
  readonly open: { timeUs: number; flows: DecodedFlows } | undefined;
  readonly holeReason: number;
  readonly kernelLosses: readonly { reason: number; total: number }[];
}

/** Agents send 1,024 rows at most; open flows come in one piece. */
const MOST_ROWS = 1 << 20;
const V4_MAPPED_LOW = 0xffff_0000_0000;

function bad(message: string): never {
  throw new CellwallError('invalid_batch', `malformed batch: ${message}`);
}

export function safe(value: number, what: string): number {
  if (!Number.isSafeInteger(value)) bad(`${what} is beyond 2^53`);
  return value;
}

function decodeAddress(bytes: Uint8Array): DecodedAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return { high: 0, low: V4_MAPPED_LOW + view.getUint32(0) };
  if (bytes.length !== 16) bad(`an address of ${bytes.length} bytes`);
  return { high: view.getBigInt64(0), low: view.getBigInt64(8) };
}

const COLUMNS = [
  'cgroup', 'endTimeDelta', 'durationPlusOne', 'protocol', 'direction', 'verdict', 'end', 'localAddress', 'localPort', 'remoteAddress',
  'remotePort', 'sentBytesPlusOne', 'receivedBytesPlusOne', 'sentPackets', 'receivedPackets', 'rttUs', 'retransmits', 'rule', 'generation',
  'cookieDelta', 'processId', 'processName', 'flags',
] as const;

const INDEXES = { cgroup: 'cgroups', localAddress: 'addresses', remoteAddress: 'addresses', processName: 'strings' } as const;
const LARGEST = { protocol: 255, direction: 2, verdict: 3, end: 7, localPort: 65535, remotePort: 65535, flags: 255 } as const;

function check(columns: types.cellwall.v1.FlowColumns): void {
  if (columns.rows > MOST_ROWS) bad(`${columns.rows} rows`);
  for (const name of COLUMNS) {
    if (columns[name].length !== columns.rows) bad(`column ${name} has ${columns[name].length} of ${columns.rows} entries`);
  }
  for (const [name, dictionary] of Object.entries(INDEXES) as [keyof typeof INDEXES, 'cgroups' | 'addresses' | 'strings'][]) {
    const size = columns[dictionary].length;
    for (const index of columns[name]) if (index >= size) bad(`column ${name} points outside of ${dictionary}`);
  }
  for (const [name, largest] of Object.entries(LARGEST) as [keyof typeof LARGEST, number][]) {
    for (const value of columns[name]) if (value < 0 || value > largest) bad(`column ${name} holds ${value}`);
  }
  for (const name of ['durationPlusOne', 'sentBytesPlusOne', 'receivedBytesPlusOne', 'generation'] as const) {
    for (const value of columns[name]) safe(value as number, name);
  }
}

function decodeFlows(columns: types.cellwall.v1.FlowColumns): DecodedFlows {
  check(columns);
  return {
    rows: columns.rows,
    addresses: columns.addresses.map(decodeAddress),
    cgroups: columns.cgroups.map((id) => safe(id as number, 'a cgroup id')),
    strings: columns.strings,
    columns,
  };
}

/** Reads a serialized FlowBatch. Throws invalid_batch. */
export function decodeBatch(data: Uint8Array): DecodedBatch {
  let batch: types.cellwall.v1.FlowBatch;
  try {
    batch = v1.FlowBatch.decode(data);
  } catch (error) {
    return bad((error as Error).message);
  }
  return {
    sequence: safe(batch.sequence as number, 'sequence'),
    firstEventIndex: safe(batch.firstEventIndex as number, 'first_event_index'),
    ended: batch.ended ? decodeFlows(v1.FlowColumns.create(batch.ended)) : undefined,
    open: batch.open
      ? { timeUs: safe((batch.open.timeUs ?? 0) as number, 'time_us'), flows: decodeFlows(v1.FlowColumns.create(batch.open.flows ?? {})) }
      : undefined,
    holeReason: batch.holeReason ?? 0,
    kernelLosses: batch.kernelLosses.map((loss) => ({ reason: loss.reason ?? 0, total: safe((loss.total ?? 0) as number, 'total') })),
  };
}

/** One row at a time, with deltas resolved. The same object is given for each row. */
export interface Row {
  cgroup: number;
  endUs: number;
  cookie: number;
  kind: number;
}

export function eachRow(flows: DecodedFlows, from: number, use: (index: number, row: Row) => void): void {
  const { columns } = flows;
  const row: Row = { cgroup: 0, endUs: 0, cookie: 0, kind: 0 };
  for (let index = 0; index < flows.rows; index++) {
    row.endUs += columns.endTimeDelta[index] as number;
    row.cookie += columns.cookieDelta[index] as number;
    if (index < from) continue;
    row.cgroup = flows.cgroups[columns.cgroup[index] as number] as number;
    row.kind = packKind({
      protocol: columns.protocol[index] as number,
      direction: columns.direction[index] as number,
      verdict: columns.verdict[index] as number,
      end: columns.end[index] as number,
      flags: columns.flags[index] as number,
    });
    if (!Number.isSafeInteger(row.endUs) || row.endUs < 0) bad('a time is out of range');
    use(index, row);
  }
}
