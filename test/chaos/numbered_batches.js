// SPDX-License-Identifier: Apache-2.0
//
// Batches whose rows tell their event by a number: `sent` of a row is one more than it.
import { v1 } from '../../dist/control-plane/src/ingest/wire.js';

const cache = new Map();

export function columnsOf(rows) {
  const known = cache.get(rows);
  if (known) return known;
  const column = (value) => Array.from({ length: rows }, (_, i) => value(i));
  const columns = {
    rows,
    addresses: [Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2)],
    cgroups: [7, 8, 9],
    strings: ['curl'],
    cgroup: column((i) => i % 3),
    durationPlusOne: column(() => 1000),
    protocol: column(() => 6),
    direction: column(() => 1),
    verdict: column(() => 1),
    end: column(() => 1),
    localAddress: column(() => 0),
    localPort: column((i) => 32_768 + i),
    remoteAddress: column(() => 1),
    remotePort: column(() => 443),
    receivedBytesPlusOne: column(() => 200),
    sentPackets: column(() => 3),
    receivedPackets: column(() => 4),
    rttUs: column(() => 80),
    retransmits: column(() => 0),
    rule: column(() => 0),
    generation: column(() => 0),
    cookieDelta: column(() => 0),
    processId: column(() => 4242),
    processName: column(() => 0),
    flags: column(() => 0),
  };
  cache.set(rows, columns);
  return columns;
}

export function encodeBatch(firstEventIndex, rows, atUs, sequence = 1) {
  const ended = {
    ...columnsOf(rows),
    endTimeDelta: Array.from({ length: rows }, (_, i) => (i === 0 ? atUs : 0)),
    sentBytesPlusOne: Array.from({ length: rows }, (_, i) => firstEventIndex + i + 1),
  };
  return v1.FlowBatch.encode(v1.FlowBatch.create({ sequence, firstEventIndex, ended })).finish();
}
