// SPDX-License-Identifier: Apache-2.0
import { packKind, TLS_VERSIONS } from '../flows/record.js';
import type { ContainerFacts } from '../store/state.js';
import { toFacts } from './containers.js';
import { type Coverage, coverageOf, type DecodedMerge } from './coverage.js';
import { checkNested, FLOW_BATCH } from './nested.js';
import { bad, safe } from './safe.js';
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
  /** Index into strings + 1 of the name that the remote address was looked up by, and of the SNI; 0: none. */
  readonly names: Uint32Array;
  readonly serverNames: Uint32Array;
  /** Rows ascend; addresses are indexes into `addresses`. */
  readonly translations: readonly DecodedTranslation[];
  /** Rows that stand for several events; rows ascend. */
  readonly merged: readonly DecodedMerge[];
}

export interface DecodedTranslation {
  readonly row: number;
  readonly source: number;
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
}

export interface DecodedLookup {
  readonly cgroup: number;
  readonly windowUs: number;
  readonly name: string;
  readonly type: number;
  readonly result: number;
  readonly count: number;
  readonly addresses: readonly DecodedAddress[];
}

export interface DecodedListener {
  readonly cgroup: number;
  readonly protocol: number;
  readonly address: DecodedAddress;
  readonly port: number;
  readonly processId: number;
  readonly processName: string;
}

export interface DecodedBatch extends Coverage {
  readonly sequence: number;
  /** '': that of the stream. */
  readonly epoch: string;
  /** For the names of rows; they may be gone. */
  readonly containers: readonly ContainerFacts[];
  /** 0: the batch covers no events. */
  readonly firstEventIndex: number;
  readonly ended: DecodedFlows | undefined;
  readonly open: { timeUs: number; flows: DecodedFlows; listeners: readonly DecodedListener[] } | undefined;
  readonly lookups: readonly DecodedLookup[];
  readonly holeReason: number;
  /** 0: not known. */
  readonly holeFirstUs: number;
  readonly holeLastUs: number;
  readonly kernelLosses: readonly { reason: number; total: number }[];
}

/** Agents send 1,024 rows at most; open flows come in one piece. */
const MOST_ROWS = 1 << 20;
const MOST_LOOKUPS = 1 << 16;
const LONGEST_NAME = 1024;
const LONGEST_EPOCH = 100;
/** Agents send 256 at a time. */
const MOST_CONTAINERS = 1 << 14;
const V4_MAPPED_LOW = 0xffff_0000_0000;

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
  flags: 31,
} as const;
const LARGEST_FAILURE = 7;
const LARGEST_PAYLOAD = 15;

/** Where the first is that is not in 0 to `largest`; -1: nowhere. */
function firstOutside(values: readonly number[], largest: number): number {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < 0 || value > largest) return i;
  }
  return -1;
}

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
    if (firstOutside(columns[name], columns[dictionary].length - 1) >= 0)
      bad(`column ${name} points outside of ${dictionary}`);
  }
  for (const [name, largest] of Object.entries(LARGEST) as [keyof typeof LARGEST, number][]) {
    const outside = firstOutside(columns[name], largest);
    if (outside >= 0) bad(`column ${name} holds ${columns[name][outside]}`);
  }
  for (const name of ['durationPlusOne', 'sentBytesPlusOne', 'receivedBytesPlusOne', 'generation'] as const) {
    const outside = firstOutside(columns[name] as number[], Number.MAX_SAFE_INTEGER);
    if (outside >= 0) bad(`${name} is beyond 2^53`);
  }
}

function sums(deltas: readonly number[], what: string): Float64Array {
  const all = new Float64Array(deltas.length);
  let sum = 0;
  for (let i = 0; i < deltas.length; i++) {
    sum += deltas[i] as number;
    if (!Number.isSafeInteger(sum) || sum < 0) bad(`${what} is out of range`);
    all[i] = sum;
  }
  return all;
}

type Columns = types.cellwall.v1.FlowColumns;

/** What only some rows have: columns of one length, with ascending rows. Returns the rows. */
function sparseRows(given: { row?: number[] | null } & object, rows: number, what: string): number[] {
  const own = given.row ?? [];
  for (const [name, column] of Object.entries(given)) {
    if (Array.isArray(column) && column.length !== own.length)
      bad(`${what}.${name} has ${column.length} of ${own.length} entries`);
  }
  own.forEach((row, index) => {
    if (row >= rows || row <= (own[index - 1] ?? -1)) bad(`the rows of ${what} do not ascend, or are not there`);
  });
  return own;
}

function within(index: number | undefined, size: number, what: string): number {
  if (index === undefined || index >= size) bad(`${what} points outside of its dictionary`);
  return index;
}

function atMost(value: number | undefined, largest: number, what: string): number {
  if (value === undefined || value < 0 || value > largest) bad(`${what} is ${value}`);
  return value;
}

function translationsOf(columns: Columns): DecodedTranslation[] {
  const given = columns.translations;
  if (!given) return [];
  const end = (name: 'sourceAddress' | 'destinationAddress', index: number) =>
    within(given[name]?.[index], columns.addresses.length, name);
  const port = (name: 'sourcePort' | 'destinationPort', index: number) =>
    atMost(given[name]?.[index], 65535, `translations.${name}`);
  return sparseRows(given, columns.rows, 'translations').map((row, index) => ({
    row,
    source: end('sourceAddress', index),
    sourcePort: port('sourcePort', index),
    destination: end('destinationAddress', index),
    destinationPort: port('destinationPort', index),
  }));
}

function namesOf(columns: Columns): Uint32Array {
  const names = new Uint32Array(columns.rows);
  if (columns.names)
    sparseRows(columns.names, columns.rows, 'names').forEach((row, index) => {
      names[row] = within(columns.names?.name?.[index], columns.strings.length, 'names.name') + 1;
    });
  return names;
}

interface PayloadColumns {
  readonly payloads: Uint8Array;
  readonly tls: Uint8Array;
  readonly serverNames: Uint32Array;
}

function payloadsOf(columns: Columns): PayloadColumns {
  const { rows, payloads: given } = columns;
  const found = {
    payloads: new Uint8Array(rows),
    tls: new Uint8Array(rows),
    serverNames: new Uint32Array(rows),
  };
  if (!given) return found;
  sparseRows(given, rows, 'payloads').forEach((row, index) => {
    found.payloads[row] = atMost(given.payload?.[index], LARGEST_PAYLOAD, 'payloads.payload');
    // A version that nobody has heard of is none.
    found.tls[row] = Math.max(TLS_VERSIONS.indexOf((given.tlsVersion?.[index] ?? 0) as 0), 0);
    const serverName = given.serverName?.[index] ?? 0;
    if (serverName > 0) within(serverName - 1, columns.strings.length, 'payloads.server_name');
    found.serverNames[row] = serverName;
  });
  return found;
}

function failuresOf(columns: Columns): Uint8Array {
  const failures = new Uint8Array(columns.rows);
  const given = columns.failures;
  if (given)
    sparseRows(given, columns.rows, 'failures').forEach((row, index) => {
      failures[row] = atMost(given.failure?.[index], LARGEST_FAILURE, 'failures.failure');
    });
  return failures;
}

function mergedOf({ rows, merged }: Columns): DecodedMerge[] {
  if (!merged) return [];
  return sparseRows(merged, rows, 'merged').map((row, index) => {
    const count = merged.count?.[index] ?? 0;
    if (count < 2) bad(`merged.count is ${count}`);
    return { row, count };
  });
}

function kindsOf(columns: Columns, { payloads, tls }: PayloadColumns): Int32Array {
  const { protocol, direction, verdict, end, flags } = columns;
  const failures = failuresOf(columns);
  const kinds = new Int32Array(columns.rows);
  for (let i = 0; i < columns.rows; i++)
    kinds[i] = packKind({
      protocol: protocol[i] as number,
      direction: direction[i] as number,
      verdict: verdict[i] as number,
      end: end[i] as number,
      flags: flags[i] as number,
      failure: failures[i] as number,
      payload: payloads[i] as number,
      tls: tls[i] as number,
    });
  return kinds;
}

function decodeFlows(columns: Columns): DecodedFlows {
  check(columns);
  const payloads = payloadsOf(columns);
  return {
    rows: columns.rows,
    addresses: columns.addresses.map(decodeAddress),
    cgroups: columns.cgroups.map((id) => safe(id as number, 'a cgroup id')),
    strings: columns.strings,
    endUs: sums(columns.endTimeDelta as number[], 'a time'),
    cookies: sums(columns.cookieDelta as number[], 'a cookie'),
    kinds: kindsOf(columns, payloads),
    columns,
    names: namesOf(columns),
    serverNames: payloads.serverNames,
    translations: translationsOf(columns),
    merged: mergedOf(columns),
  };
}

function decodeLookup(lookup: types.cellwall.v1.Lookup.$Properties): DecodedLookup {
  const name = lookup.name ?? '';
  if (name.length > LONGEST_NAME) bad(`a name of ${name.length} characters`);
  return {
    cgroup: safe((lookup.cgroup ?? 0) as number, 'a cgroup id'),
    windowUs: safe((lookup.windowUs ?? 0) as number, 'window_us'),
    name,
    type: lookup.type ?? 0,
    result: lookup.result ?? 0,
    count: lookup.count ?? 0,
    addresses: (lookup.addresses ?? []).map(decodeAddress),
  };
}

function decodeListener(listener: types.cellwall.v1.Listener.$Properties): DecodedListener {
  return {
    cgroup: safe((listener.cgroup ?? 0) as number, 'a cgroup id'),
    protocol: atMost(listener.protocol ?? 0, 255, 'listener.protocol'),
    address: decodeAddress(listener.address ?? new Uint8Array()),
    port: atMost(listener.port ?? 0, 65535, 'listener.port'),
    processId: listener.processId ?? 0,
    processName: listener.processName ?? '',
  };
}

function decodeOpen(open: types.cellwall.v1.OpenFlows.$Properties): DecodedBatch['open'] {
  return {
    timeUs: safe((open.timeUs ?? 0) as number, 'time_us'),
    flows: decodeFlows(v1.FlowColumns.create(open.flows ?? {})),
    listeners: (open.listeners ?? []).map(decodeListener),
  };
}

/** Reads a serialized FlowBatch. Throws invalid_batch. */
export function decodeBatch(data: Uint8Array): DecodedBatch {
  let batch: types.cellwall.v1.FlowBatch;
  try {
    checkNested(data, FLOW_BATCH);
    batch = v1.FlowBatch.decode(data);
  } catch (error) {
    return bad((error as Error).message);
  }
  if (batch.lookups.length > MOST_LOOKUPS) bad(`${batch.lookups.length} look-ups`);
  if (batch.epoch.length > LONGEST_EPOCH) bad(`an epoch of ${batch.epoch.length} characters`);
  const containers = batch.containers?.upserted ?? [];
  if (containers.length > MOST_CONTAINERS) bad(`${containers.length} containers`);
  const ended = batch.ended ? decodeFlows(v1.FlowColumns.create(batch.ended)) : undefined;
  return {
    sequence: safe(batch.sequence as number, 'sequence'),
    epoch: batch.epoch,
    firstEventIndex: safe(batch.firstEventIndex as number, 'first_event_index'),
    ended,
    ...coverageOf(batch, ended?.rows ?? 0, ended?.merged ?? []),
    open: batch.open ? decodeOpen(batch.open) : undefined,
    lookups: batch.lookups.map(decodeLookup),
    containers: containers.map(toFacts),
    holeReason: batch.holeReason ?? 0,
    holeFirstUs: safe(batch.holeFirstUs as number, 'hole_first_us'),
    holeLastUs: safe(batch.holeLastUs as number, 'hole_last_us'),
    kernelLosses: batch.kernelLosses.map((loss) => ({
      reason: loss.reason ?? 0,
      total: safe((loss.total ?? 0) as number, 'total'),
    })),
  };
}
