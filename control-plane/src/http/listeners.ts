// SPDX-License-Identifier: Apache-2.0
import { displayName, protocolName, timeText } from '../flows/record.js';
import type { ListenerRow } from '../store/who.js';

/** As listenerSchema has it. */
export function showListener(row: ListenerRow) {
  const { node, namespace, pod, container } = row.container;
  return {
    container: { name: displayName(row.container), namespace, pod, container },
    node,
    protocol: protocolName(row.protocol),
    address: row.address,
    port: row.port,
    process: { id: row.processId, name: row.processName },
    since: timeText(row.firstUs),
    until: row.goneUs === null ? null : timeText(row.goneUs),
  };
}
