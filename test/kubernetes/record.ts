// SPDX-License-Identifier: Apache-2.0
//
// What the server has on record, through the command line.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Flow } from '../../control-plane/src/flows/record.js';
import { lossesIn } from '../harness/cellwall.js';
import type { Counts, Tally } from '../harness/connector.js';
import type { Cluster, PodObject } from './cluster.js';
import { PORT } from './workloads.js';

export function flows(cluster: Cluster, ...filters: string[]): Flow[] {
  const all: Flow[] = [];
  let cursor: string | null = null;
  do {
    const page = JSON.parse(
      cluster.cellwall('flows', '-o', 'json', '--limit', '1000', ...filters, ...(cursor ? ['--cursor', cursor] : [])),
    ) as { flows: Flow[]; nextCursor: string | null };
    all.push(...page.flows);
    cursor = page.nextCursor;
  } while (cursor);
  return all;
}

/** Connections. */
export const sum = (flows: readonly Flow[]): number => flows.reduce((all, { count }) => all + count, 0);

export function losses(cluster: Cluster): Record<string, number> {
  const { lost } = JSON.parse(cluster.cellwall('status', '-o', 'json')) as { lost: Record<string, number> };
  return lossesIn(lost);
}

/** What workload each container belongs to: "namespace/pod/container" to "namespace/workload/container". */
export function workloads(cluster: Cluster, ...filters: string[]): Map<string, string> {
  const { containers } = JSON.parse(cluster.cellwall('containers', ...filters, '-o', 'json')) as {
    containers: { name: string; namespace: string; workload: string; container: string }[];
  };
  return new Map(containers.map((it) => [it.name, `${it.namespace}/${it.workload}/${it.container}`]));
}

export function counted(flows: readonly Flow[], keyOf: (flow: Flow) => string): Counts {
  const counts: Counts = {};
  for (const flow of flows) {
    const key = keyOf(flow);
    counts[key] = (counts[key] ?? 0) + flow.count;
  }
  return counts;
}

/** Calls to the database by workload, address and what became of them. */
export function countsByWorkload(cluster: Cluster): Counts {
  const known = workloads(cluster, '--all');
  return counted(
    flows(cluster, '--direction', 'egress', '--peer', `:${PORT}`),
    ({ container: { name }, destination, verdict, endReason }) =>
      `${known.get(name) ?? name} ${destination.address} ${verdict} ${endReason}`,
  );
}

/** Until the record of calls to the database has not grown for a while: what the cluster itself does goes on. */
export async function settled(cluster: Cluster): Promise<void> {
  const recorded = () => JSON.stringify([sum(flows(cluster, '--port', String(PORT))), losses(cluster)]);
  for (let before = '', now = ' '; before !== now; ) {
    before = now;
    await sleep(3000);
    now = recorded();
  }
}

export async function call(
  cluster: Cluster,
  pod: PodObject,
  container: string,
  args: readonly (string | number)[],
  timeoutS = 120,
): Promise<Tally> {
  const command = ['/usr/local/bin/connector', ...args.map(String)];
  const { code, stdout, stderr } = await cluster.exec(pod, container, command, timeoutS);
  if (code !== 0) throw new Error(`${pod.metadata.name}/${container}: ${command.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as Tally;
}
