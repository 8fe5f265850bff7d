// SPDX-License-Identifier: Apache-2.0

import type { StoredFlow } from '../flows/record.js';
import { addressText } from '../policy/index.js';

/** What is selected of a flow `f`, with the state file attached as `state`. */
export const FLOW_COLUMNS = `f.id, f.end_us, f.duration, f.kind, f.local_high, f.local_low, f.local_port, f.remote_high, f.remote_low,
  f.remote_port, f.sent, f.received, f.sent_packets, f.received_packets, f.rtt, f.retransmits, f.rule, f.generation, f.process,
  s.text AS process_name, c.cgroup, c.namespace, c.pod, c.name AS container, c.image, n.name AS node, r.policy, r.rule AS rule_name`;
export const FLOW_JOINS = `JOIN state.containers c ON c.id = f.container JOIN state.nodes n ON n.id = c.node
  LEFT JOIN state.strings s ON s.id = f.process_name LEFT JOIN state.rules r ON r.id = f.rule`;

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
  Record<'process_name' | 'policy' | 'rule_name', string | null>;

const unsigned = (half: bigint): bigint => BigInt.asUintN(64, half);
const lessOne = (value: bigint): number | null => (value === 0n ? null : Number(value) - 1);

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
    local: addressText((unsigned(row.local_high) << 64n) | unsigned(row.local_low)),
    localPort: Number(row.local_port),
    remote: addressText((unsigned(row.remote_high) << 64n) | unsigned(row.remote_low)),
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
  };
}
