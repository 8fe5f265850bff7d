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
  /** Deltas are resolved in these. */
  readonly endUs: Float64Array;
  readonly cookies: Float64Array;
  /** See flows/record.ts. */
  readonly kinds: Int32Array;
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
  'cgroup',
  'endTimeDelta',
  'durationPlusOne',
  'protocol',
  'direction',
  'verdict',
  'end',
  'localAddress',
  'localPort',
  'remoteAddress',
  'remotePort',
  'sentBytesPlusOne',
  'receivedBytesPlusOne',
  'sentPackets',
  'receivedPackets',
  'rttUs',
  'retransmits',
  'rule',
  'generation',
  'cookieDelta',
  'processId',
  'processName',
  'flags',
] as const;

const INDEXES = {
  cgroup: 'cgroups',
  localAddress: 'addresses',
  remoteAddress: 'addresses',
  processName: 'strings',
} as const;
const LARGEST = {
  protocol: 255,
  direction: 2,
  verdict: 3,
  end: 7,
  localPort: 65535,
  remotePort: 65535,
  flags: 255,
} as const;

function check(columns: types.cellwall.v1.FlowColumns): void {
  if (columns.rows > MOST_ROWS) bad(`${columns.rows} rows`);
  for (const name of COLUMNS) {
    if (columns[name].length !== columns.rows)
      bad(`column ${name} has ${columns[name].length} of ${columns.rows} entries`);
  }
  for (const [name, dictionary] of Object.entries(INDEXES) as [
    keyof typeof INDEXES,
    'cgroups' | 'addresses' | 'strings',
  ][]) {
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

function sums(deltas: readonly number[], what: string): Float64Array {
  let sum = 0;
  return Float64Array.from(deltas, (delta) => {
    sum += delta;
    if (!Number.isSafeInteger(sum) || sum < 0) bad(`${what} is out of range`);
    return sum;
  });
}

function kindsOf(columns: types.cellwall.v1.FlowColumns): Int32Array {
  const { protocol, direction, verdict, end, flags } = columns;
  return Int32Array.from({ length: columns.rows }, (_, i) =>
    packKind({
      protocol: protocol[i] as number,
      direction: direction[i] as number,
      verdict: verdict[i] as number,
      end: end[i] as number,
      flags: flags[i] as number,
    }),
  );
}

function decodeFlows(columns: types.cellwall.v1.FlowColumns): DecodedFlows {
  check(columns);
  return {
    rows: columns.rows,
    addresses: columns.addresses.map(decodeAddress),
    cgroups: columns.cgroups.map((id) => safe(id as number, 'a cgroup id')),
    strings: columns.strings,
    endUs: sums(columns.endTimeDelta as number[], 'a time'),
    cookies: sums(columns.cookieDelta as number[], 'a cookie'),
    kinds: kindsOf(columns),
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
      ? {
          timeUs: safe((batch.open.timeUs ?? 0) as number, 'time_us'),
          flows: decodeFlows(v1.FlowColumns.create(batch.open.flows ?? {})),
        }
      : undefined,
    holeReason: batch.holeReason ?? 0,
    kernelLosses: batch.kernelLosses.map((loss) => ({
      reason: loss.reason ?? 0,
      total: safe((loss.total ?? 0) as number, 'total'),
    })),
  };
}
