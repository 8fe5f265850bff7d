// SPDX-License-Identifier: Apache-2.0
//
// From `policy apply` to the last of many simulated agents.
import type { ServerProcess } from './cellwall.js';
import type { Fleet } from './fleet.js';
import { until } from './run.js';

const TEAMS = 40;
const PATIENCE_MS = 60_000;

export interface PushFigures {
  readonly medianMs: number;
  readonly p99Ms: number;
  /** Until the server knew of each node that it has the generation; the longest. */
  readonly acknowledgedMs: number;
  /** Of all rule sets of a node. */
  readonly payloadBytes: number;
  /** Of what a change sends it. */
  readonly differenceBytes: number;
}

/** What a team writes for one of its applications; the port makes each change one. */
function policy(team: number, port: number): string {
  return `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: api, namespace: team-${team}}
spec:
  subject: {pods: {matchLabels: {app: api}}}
  egress:
  - name: database
    action: Accept
    to: [{containers: {pods: {matchLabels: {app: db}}}}]
    protocols: [{tcp: {destinationPort: {number: ${port}}}}]
  - {name: no-metadata, action: Deny, to: [{networks: ["169.254.169.254"]}]}
`;
}

export const quantile = (values: readonly number[], part: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
};

export async function measurePushes(server: ServerProcess, fleet: Fleet, changes: number): Promise<PushFigures> {
  const apply = async (text: string) => (await server.put<{ generation: number }>('/v1/policies', text)).generation;
  const arrived = async (generation: number) =>
    until(
      `all agents have generation ${generation}`,
      async () => {
        const report = await fleet.report(generation);
        return report.arrivals.length >= fleet.agents ? report : undefined;
      },
      PATIENCE_MS,
    );
  await arrived(await apply(Array.from({ length: TEAMS }, (_, team) => policy(team, 1000)).join('---\n')));
  const took: number[] = [];
  let acknowledgedMs = 0;
  let payloadBytes = 0;
  let differenceBytes = 0;
  for (let change = 1; change <= changes; change++) {
    const began = Date.now();
    const generation = await apply(policy(change % TEAMS, 2000 + change));
    const report = await arrived(generation);
    took.push(...report.arrivals.map((it) => it - began));
    ({ payloadBytes, differenceBytes } = report);
    await until(
      `all nodes show generation ${generation}`,
      async () => {
        const { nodes } = await server.get<{ nodes: { generation: { applied: number } }[] }>('/v1/nodes');
        return nodes.every((it) => it.generation.applied >= generation);
      },
      PATIENCE_MS,
    );
    acknowledgedMs = Math.max(acknowledgedMs, Date.now() - began);
  }
  return { medianMs: quantile(took, 0.5), p99Ms: quantile(took, 0.99), acknowledgedMs, payloadBytes, differenceBytes };
}
