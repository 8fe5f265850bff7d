// SPDX-License-Identifier: Apache-2.0
//
// From `policy apply` to the last of many agents. The agents are simulated (real gRPC streams that answer as agents do, without
// a kernel); the server is the real one.
import { TestAgent } from '../../control-plane/src/testing/agent.js';
import type { ServerProcess } from '../harness/cellwall.js';
import { until } from '../harness/run.js';

const AGENTS = 500;
const CONTAINERS_EACH = 20;
const CHANGES = 20;
const APPS = ['web', 'api', 'db', 'cache', 'queue'];

export interface PushFigures {
  readonly agents: number;
  readonly containers: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly payloadBytes: number;
}

function containersOf(node: number) {
  return Array.from({ length: CONTAINERS_EACH }, (_, i) => ({
    cgroupId: 1000 + i,
    namespace: `team-${(node + i) % 40}`,
    pod: `pod-${node}-${i}`,
    name: 'main',
    labels: { app: APPS[i % APPS.length] as string },
    addresses: [`10.${node >> 8}.${node & 255}.${i + 1}`],
    runtime: 'containerd',
    runtimeId: `${node}-${i}`,
  }));
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

/** Answers each rule set with what an agent says once its kernel has it. */
async function obey(agent: TestAgent, arrived: (generation: number, bytes: number) => void): Promise<void> {
  for (;;) {
    const { generation = 0, digest, payload } = await agent.next('ruleSets');
    agent.send({ applied: { generation, digest: digest ?? null } });
    arrived(generation as number, payload?.length ?? 0);
  }
}

const quantile = (sorted: readonly number[], part: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

export async function measurePush(server: ServerProcess): Promise<PushFigures> {
  const agents = Array.from({ length: AGENTS }, () => new TestAgent(server.grpc));
  const began = new Map<number, number>();
  const took: number[] = [];
  const missing = new Map<number, number>();
  let payloadBytes = 0;
  const arrived = (generation: number, bytes: number) => {
    const start = began.get(generation);
    payloadBytes = bytes;
    if (start === undefined) return;
    took.push(performance.now() - start);
    missing.set(generation, (missing.get(generation) ?? AGENTS) - 1);
  };
  try {
    for (const [node, agent] of agents.entries()) {
      await agent.hello(`node-${node}`);
      agent.send({ containers: { complete: true, upserted: containersOf(node) } });
      void obey(agent, arrived);
    }
    const apply = async (text: string) => (await server.put<{ generation: number }>('/v1/policies', text)).generation;
    const first = await apply(Array.from({ length: 40 }, (_, team) => policy(team, 1000)).join('---\n'));
    for (let change = 1; change <= CHANGES; change++) {
      began.set(first + change, performance.now());
      await apply(policy(change % 40, 2000 + change));
      await until('all agents have the change', () => missing.get(first + change) === 0, 60_000, 10);
    }
    const sorted = took.sort((a, b) => a - b);
    return {
      agents: AGENTS,
      containers: AGENTS * CONTAINERS_EACH,
      medianMs: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      payloadBytes,
    };
  } finally {
    for (const agent of agents) agent.close();
  }
}
