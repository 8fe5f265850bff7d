// SPDX-License-Identifier: Apache-2.0

import type { StoredFlow, Translation } from '../flows/record.js';
import { addressText } from '../policy/network.js';
import { toBits } from './addresses.js';

/** What is selected of a flow `f`, with the state file attached as `state`. */
export const FLOW_COLUMNS = `f.id, f.end_us, f.duration, f.kind, f.local_high, f.local_low, f.local_port, f.remote_high, f.remote_low,
  f.remote_port, f.sent, f.received, f.sent_packets, f.received_packets, f.rtt, f.retransmits, f.rule, f.generation, f.process,
  t.source_high, t.source_low, t.source_port, t.destination_high, t.destination_low, t.destination_port,
  s.text AS process_name, d.text AS name, sn.text AS server_name, c.cgroup, c.namespace, c.pod, c.name AS container, c.image, n.name AS node, r.policy, r.rule AS rule_name`;
export const FLOW_JOINS = `JOIN state.containers c ON c.id = f.container JOIN state.nodes n ON n.id = c.node
  LEFT JOIN translations t ON t.id = f.id LEFT JOIN state.strings s ON s.id = f.process_name
  LEFT JOIN state.strings d ON d.id = f.name LEFT JOIN state.strings sn ON sn.id = f.server_name LEFT JOIN state.rules r ON r.id = f.rule`;

/** Of a flow in a day file: how many it stands for. */
export const FLOW_COUNT = '(SELECT count FROM counts WHERE id = f.id) AS count';

/** With safeIntegers: every number comes as a bigint. */
export type FlowRow = Record<
  | 'id'
  | 'end_us'
  | 'duration'
  | 'kind'
  | 'local_high'
  | 'local_low'
  | 'local_port'
  | 'remote_high'
  | 'remote_low'
  | 'remote_port'
  | 'sent'
  | 'received'
  | 'sent_packets'
  | 'received_packets'
  | 'rtt'
  | 'retransmits'
  | 'rule'
  | 'generation'
  | 'process'
  | 'cgroup',
  bigint
> &
  Record<'namespace' | 'pod' | 'container' | 'image' | 'node', string> &
  Record<'process_name' | 'name' | 'server_name' | 'policy' | 'rule_name', string | null> &
  Record<
    | 'count'
    | 'source_high'
    | 'source_low'
    | 'source_port'
    | 'destination_high'
    | 'destination_low'
    | 'destination_port',
    bigint | null
  >;

const text = (high: bigint, low: bigint): string => addressText(toBits(high, low));
const lessOne = (value: bigint): number | null => (value === 0n ? null : Number(value) - 1);

function translationOf(row: FlowRow): Translation | null {
  if (row.source_port === null || row.destination_port === null) return null;
  return {
    source: { address: text(row.source_high ?? 0n, row.source_low ?? 0n), port: Number(row.source_port) },
    destination: {
      address: text(row.destination_high ?? 0n, row.destination_low ?? 0n),
      port: Number(row.destination_port),
    },
  };
}

export function toStored(day: string, row: FlowRow): StoredFlow {
  return {
    day,
    id: Number(row.id),
    node: row.node,
    cgroupId: String(row.cgroup),
    namespace: row.namespace,
    pod: row.pod,
    container: row.container,
    image: row.image,
    endUs: Number(row.end_us),
    durationUs: lessOne(row.duration),
    kind: Number(row.kind),
    count: Number(row.count ?? 1n),
    local: text(row.local_high, row.local_low),
    localPort: Number(row.local_port),
    remote: text(row.remote_high, row.remote_low),
    remotePort: Number(row.remote_port),
    sentBytes: lessOne(row.sent),
    receivedBytes: lessOne(row.received),
    sentPackets: Number(row.sent_packets),
    receivedPackets: Number(row.received_packets),
    rttUs: Number(row.rtt),
    retransmits: Number(row.retransmits),
    rule: Number(row.rule),
    rulePolicy: row.policy,
    ruleName: row.rule_name,
    generation: Number(row.generation),
    processId: Number(row.process),
    processName: row.process_name ?? '',
    translation: translationOf(row),
    name: row.name,
    serverName: row.server_name,
  };
}
