// SPDX-License-Identifier: Apache-2.0
import type { Flow } from '../flows/record.js';
import { bytes, type Cell, type Color, duration, endpoint, localTime } from './format.js';
import type { Listing } from './shared.js';

const COLORS: Readonly<Record<string, Color>> = { denied: 'red', audit: 'yellow', allowed: 'green' };

export function target(flow: Flow): string {
  const arrow = flow.direction === 'egress' ? '->' : '<-';
  return `${arrow} ${flow.protocol} ${endpoint(flow.destination.address, flow.destination.port)}`;
}

function verdict(flow: Flow): Cell {
  return { text: `${flow.verdict} ${flow.rule.display}`, color: COLORS[flow.verdict] };
}

/** What the staged versions of policies say. */
export const pendingText = ({ pending: it }: Flow): string => (it ? `${it.verdict} ${it.rule ?? '(no policy)'}` : '-');

function pending(flow: Flow): Cell {
  const { pending: it } = flow;
  return { text: pendingText(flow), color: it && it.verdict !== flow.verdict ? COLORS[it.verdict] : undefined };
}

export function how(flow: Flow): string {
  const reason = flow.failure ? `${flow.endReason}: ${flow.failure}` : flow.endReason;
  const marks = [flow.partial && 'partial', flow.older && 'older'].filter((mark) => mark);
  return marks.length > 0 ? `${reason} (${marks.join(', ')})` : reason;
}

/** Who it was at the other end, as well as it is known. */
export function peerText(flow: Flow): string {
  const names = [flow.peer?.name, flow.name].filter((name) => name);
  return names.length > 0 ? names.join(' ') : '-';
}

export function payloadText(flow: Flow): string {
  if (!flow.payload) return '-';
  return flow.tls?.version ? `${flow.payload} ${flow.tls.version}` : flow.payload;
}

interface Column {
  readonly head: string;
  readonly cell: (flow: Flow, now: Date) => Cell;
  /** Left out of a table in which no row has something to say. */
  readonly optional?: boolean;
}

const COLUMNS: readonly Column[] = [
  { head: 'TIME', cell: (flow, now) => ({ text: localTime(flow.end ?? flow.start ?? now.toISOString(), now) }) },
  { head: 'CONTAINER', cell: (flow) => ({ text: flow.container.name, color: 'bold' }) },
  { head: 'DESTINATION', cell: (flow) => ({ text: target(flow) }) },
  { head: 'PEER', cell: (flow) => ({ text: peerText(flow) }), optional: true },
  { head: 'VERDICT', cell: verdict },
  { head: 'PENDING', cell: pending, optional: true },
  {
    head: 'CARRIES',
    cell: (flow) => ({ text: payloadText(flow), color: flow.plaintext ? 'yellow' : undefined }),
    optional: true,
  },
  {
    head: 'FLOWS',
    cell: (flow) => ({ text: flow.count > 1 ? String(flow.count) : '-', right: true }),
    optional: true,
  },
  { head: 'SENT', cell: (flow) => ({ text: bytes(flow.sentBytes), right: true }) },
  { head: 'RECEIVED', cell: (flow) => ({ text: bytes(flow.receivedBytes), right: true }) },
  {
    head: 'TOOK',
    cell: (flow) => ({ text: flow.verdict === 'denied' ? '-' : duration(flow.durationUs), right: true }),
  },
  { head: 'END', cell: (flow) => ({ text: how(flow) }) },
];

export const FLOW_HEAD = COLUMNS.map(({ head }) => head);

export function flowRow(flow: Flow, now: Date): Cell[] {
  return COLUMNS.map(({ cell }) => cell(flow, now));
}

export const FLOW_CSV_HEAD = [
  'start',
  'end',
  'node',
  'container',
  'direction',
  'protocol',
  'local_address',
  'local_port',
  'destination_address',
  'destination_port',
  'verdict',
  'rule',
  'sent_bytes',
  'received_bytes',
  'duration_us',
  'rtt_us',
  'retransmits',
  'end_reason',
  'process_id',
  'process_name',
  'id',
  'peer',
  'name',
  'translated_source_address',
  'translated_source_port',
  'translated_destination_address',
  'translated_destination_port',
  'payload',
  'tls_version',
  'server_name',
  'failure',
  'count',
  'pending_verdict',
  'pending_rule',
];

export function flowCsv(flow: Flow): (string | number | null)[] {
  return [
    flow.start,
    flow.end,
    flow.node,
    flow.container.name,
    flow.direction,
    flow.protocol,
    flow.local.address,
    flow.local.port,
    flow.destination.address,
    flow.destination.port,
    flow.verdict,
    flow.rule.display,
    flow.sentBytes,
    flow.receivedBytes,
    flow.durationUs,
    flow.rttUs,
    flow.retransmits,
    flow.endReason,
    flow.process?.id ?? null,
    flow.process?.name ?? null,
    flow.id,
    flow.peer?.name ?? null,
    flow.name,
    flow.translated?.source.address ?? null,
    flow.translated?.source.port ?? null,
    flow.translated?.destination.address ?? null,
    flow.translated?.destination.port ?? null,
    flow.payload,
    flow.tls?.version ?? null,
    flow.tls?.serverName ?? null,
    flow.failure,
    flow.count,
    flow.pending?.verdict ?? null,
    flow.pending?.rule ?? null,
  ];
}

export function flowListing(flows: readonly Flow[], nextCursor: string | null): Listing<Flow> {
  const now = new Date();
  const columns = COLUMNS.filter(
    ({ cell, optional }) => !optional || flows.some((flow) => cell(flow, now).text !== '-'),
  );
  return {
    name: 'flows',
    items: flows,
    extra: { nextCursor },
    head: columns.map(({ head }) => head),
    row: (flow) => columns.map(({ cell }) => cell(flow, now)),
    csvHead: FLOW_CSV_HEAD,
    csvRow: flowCsv,
    empty: 'no flows match',
  };
}
