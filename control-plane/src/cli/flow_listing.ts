// SPDX-License-Identifier: Apache-2.0
import type { Flow } from '../flows/record.js';
import { bytes, type Cell, type Color, duration, endpoint, localTime } from './format.js';
import type { Listing } from './shared.js';

const COLORS: Readonly<Record<string, Color>> = { denied: 'red', audit: 'yellow', allowed: 'green' };

function target(flow: Flow): string {
  const arrow = flow.direction === 'egress' ? '->' : '<-';
  return `${arrow} ${flow.protocol} ${endpoint(flow.destination.address, flow.destination.port)}`;
}

function verdict(flow: Flow): Cell {
  return { text: `${flow.verdict} ${flow.rule.display}`, color: COLORS[flow.verdict] };
}

function how(flow: Flow): string {
  return flow.partial ? `${flow.endReason} (partial)` : flow.endReason;
}

export const FLOW_HEAD = ['TIME', 'CONTAINER', 'DESTINATION', 'VERDICT', 'SENT', 'RECEIVED', 'TOOK', 'END'];

export function flowRow(flow: Flow, now: Date): Cell[] {
  return [
    { text: localTime(flow.end ?? flow.start ?? now.toISOString(), now) },
    { text: flow.container.name, color: 'bold' },
    { text: target(flow) },
    verdict(flow),
    { text: bytes(flow.sentBytes), right: true },
    { text: bytes(flow.receivedBytes), right: true },
    { text: flow.verdict === 'denied' ? '-' : duration(flow.durationUs), right: true },
    { text: how(flow) },
  ];
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
  ];
}

export function flowListing(flows: readonly Flow[], nextCursor: string | null): Listing<Flow> {
  const now = new Date();
  return {
    name: 'flows',
    items: flows,
    extra: { nextCursor },
    head: FLOW_HEAD,
    row: (flow) => flowRow(flow, now),
    csvHead: FLOW_CSV_HEAD,
    csvRow: flowCsv,
    empty: 'no flows match',
  };
}
