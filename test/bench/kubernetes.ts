// SPDX-License-Identifier: Apache-2.0
//
// The server in a large cluster: pods, policies and nodes through its informers, from a stand-in for the API server
// (control-plane/src/testing/kubernetes.ts) that shares this process and the machine with the simulated agents. After `npm run build`:
//   tsx test/bench/kubernetes.ts
// PODS, POLICIES, NODES, CHANGES, STEADY_SECONDS: in place of the numbers below. Prints one JSON object.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEARTBEAT_MS } from '../../control-plane/src/grpc/agent_stream.js';
import { cleanUp } from '../../control-plane/src/testing/after_each.js';
import { TestAgent } from '../../control-plane/src/testing/agent.js';
import { TOKEN, tokenFile } from '../../control-plane/src/testing/certificates.js';
import { StandInApi } from '../../control-plane/src/testing/kubernetes.js';
import { ServerProcess } from '../harness/cellwall.js';
import { Cleanup } from '../harness/cleanup.js';
import { quantile } from '../harness/pushes.js';
import { until } from '../harness/run.js';
import { usageOf } from '../harness/usage.js';

const numberOf = (name: string, usual: number) => Number(process.env[name] ?? usual);
const PODS = numberOf('PODS', 10_000);
const POLICIES = numberOf('POLICIES', 1000);
const NODES = numberOf('NODES', 500);
const CHANGES = numberOf('CHANGES', 200);
/** Longer than a watch lasts, so that what a watch costs is counted. */
const STEADY_SECONDS = numberOf('STEADY_SECONDS', 330);
const TEAMS = 100;
const APPS = 10;
/** Between two changes. */
const PAUSE_MS = 250;
const SILENCE_MS = 5000;
/** As many at once, so that the stand-in beside them still answers. */
const DIALLING = 16;
const PATIENCE_MS = 600_000;

const nameOf = (node: number) => `node-${node}`;

function pod(i: number, address = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`) {
  const [team, app] = [i % TEAMS, Math.floor(i / TEAMS) % APPS];
  const name = `app-${app}-7d4b9c-${i}`;
  return {
    metadata: {
      name,
      namespace: `team-${team}`,
      labels: { app: `app-${app}`, 'pod-template-hash': '7d4b9c' },
      ownerReferences: [{ kind: 'ReplicaSet', name: `app-${app}-7d4b9c`, controller: true }],
    },
    spec: {
      nodeName: nameOf(i % NODES),
      containers: [{ name: 'main', image: 'i:1', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
    status: { phase: 'Running', podIPs: [{ ip: address }] },
  };
}

function policy(i: number) {
  const [team, app] = [i % TEAMS, Math.floor(i / TEAMS) % APPS];
  const other = (by: number) => ({ containers: { pods: { matchLabels: { app: `app-${(app + by) % APPS}` } } } });
  const protocols = [{ tcp: { destinationPort: { number: 8000 + (i % 100) } } }];
  return {
    metadata: { name: `p${i}`, namespace: `team-${team}` },
    spec: {
      subject: { pods: { matchLabels: { app: `app-${app}` } } },
      egress: [{ name: 'next', action: 'Accept', to: [other(1)], protocols }],
      ingress: [
        {
          name: 'before',
          action: 'Accept',
          from: [other(APPS - 1)],
          protocols: [{ tcp: { destinationPort: { name: 'http' } } }],
        },
      ],
    },
  };
}

function fill(api: StandInApi): void {
  for (let team = 0; team < TEAMS; team++) api.put('namespaces', { metadata: { name: `team-${team}` } });
  for (let node = 0; node < NODES; node++) {
    const address = `172.16.${node >> 8}.${node & 255}`;
    api.put('nodes', { metadata: { name: nameOf(node) }, status: { addresses: [{ type: 'InternalIP', address }] } });
  }
  for (let i = 0; i < PODS; i++) api.put('pods', pod(i));
  for (let i = 0; i < POLICIES; i++) api.put('containerpolicies', policy(i));
}

/** When each agent got something. */
class Arrivals {
  times: number[] = [];
  lastMs = 0;
  /** Streams. */
  ended = 0;

  async follow(address: string, node: number): Promise<TestAgent> {
    const agent = new TestAgent(address);
    await agent.hello(nameOf(node), 'boot.1', [`172.16.${node >> 8}.${node & 255}`]);
    const listen = async () => {
      for (;;) {
        const { ruleSets, amendment } = await agent.nextOf('ruleSets', 'amendment');
        this.lastMs = performance.now();
        this.times.push(this.lastMs);
        const { generation, digest } = (ruleSets ?? amendment ?? {}) as { generation?: number; digest?: Uint8Array };
        agent.send({ applied: { generation: generation ?? 0, ...(digest && { digest }) } });
      }
    };
    void listen();
    const beat = setInterval(() => agent.send({ heartbeat: { number: 1 } }), HEARTBEAT_MS).unref();
    void agent.ended.then(() => {
      clearInterval(beat);
      this.ended++;
    });
    return agent;
  }

  async silence(): Promise<void> {
    await until('nothing more comes', () => performance.now() - this.lastMs > SILENCE_MS, PATIENCE_MS);
  }
}

interface Status {
  readonly kubernetes: {
    readonly problems: string[];
    readonly collections: { resource: string; state: string; objects: number }[];
    readonly statuses: { waiting: number; written: number };
  };
}

async function measure(folder: string, cleanup: Cleanup): Promise<object> {
  const api = await StandInApi.start();
  fill(api);
  const beganMs = performance.now();
  const server = await ServerProcess.start(join(folder, 'data'), join(folder, 'server.log'), {
    extra: [
      ...['--tls', 'off', '--http-token-file', tokenFile(), '--kubernetes', 'on'],
      ...['--kubernetes-api', api.options.api, '--kubernetes-account', api.options.folder],
    ],
  });
  cleanup.add('the server', () => server.process.stop());
  // Not through the harness, which stops this process, and the stand-in with it, while somebody logs in.
  const status = async () => {
    const answer = await fetch(`${server.http}/v1/status`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return ((await answer.json()) as Status).kubernetes;
  };
  const resident = () => Math.round(usageOf(server.process.pid).residentMiB);
  const arrivals = new Arrivals();
  const agents: TestAgent[] = [];
  const waiting = Array.from({ length: NODES }, (_, node) => node);
  const dial = async () => {
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop())
      agents.push(await arrivals.follow(server.grpc, node));
  };
  await Promise.all(Array.from({ length: DIALLING }, dial));
  cleanup.add('the simulated agents', () => {
    for (const agent of agents) agent.close();
  });
  await until('every agent has rule sets', () => arrivals.times.length >= NODES, PATIENCE_MS);
  await arrivals.silence();
  const firstCompleteSeconds = (arrivals.lastMs - beganMs) / 1000;
  const known = (await status()).collections.find(({ resource }) => resource === 'pods')?.objects;
  if (known !== PODS) throw new Error(`the server knows ${known} pods of ${PODS}`);
  await until('every status is written', async () => (await status()).statuses.waiting === 0, PATIENCE_MS);
  const statusesSeconds = (performance.now() - beganMs) / 1000;
  await arrivals.silence();
  const settledMiB = resident();

  const took: number[] = [];
  const slowest: number[] = [];
  for (let change = 0; change < CHANGES; change++) {
    arrivals.times = [];
    const atMs = performance.now();
    api.put('pods', pod((change * 37) % PODS, `10.200.${change >> 8}.${change & 255}`));
    // Each node knows the addresses of all.
    await until('it has arrived everywhere', () => arrivals.times.length >= NODES, PATIENCE_MS, 5);
    await sleep(PAUSE_MS);
    const times = arrivals.times.map((it) => it - atMs);
    took.push(...times);
    slowest.push(Math.max(...times));
  }
  const churned = {
    podP50Ms: quantile(took, 0.5),
    podP99Ms: quantile(took, 0.99),
    slowestP99Ms: quantile(slowest, 0.99),
  };
  await until('every status is written', async () => (await status()).statuses.waiting === 0, PATIENCE_MS);
  await arrivals.silence();
  const [asked, fromMs] = [api.asked.length, performance.now()];
  const before = usageOf(server.process.pid).cpuSeconds;
  await sleep(STEADY_SECONDS * 1000);
  const minutes = (performance.now() - fromMs) / 60_000;
  if (arrivals.ended > 0) throw new Error(`${arrivals.ended} streams have ended`);
  const round = (value: number) => Math.round(value * 10) / 10;
  return {
    pods: PODS,
    policies: POLICIES,
    nodes: NODES,
    firstCompleteSeconds: round(firstCompleteSeconds),
    statusesSeconds: round(statusesSeconds),
    residentMiB: settledMiB,
    residentAfterChangesMiB: resident(),
    mostMiB: Math.round(usageOf(server.process.pid).mostMiB),
    changes: CHANGES,
    arrivals: took.length,
    podP50Ms: round(churned.podP50Ms),
    podP99Ms: round(churned.podP99Ms),
    slowestNodeP99Ms: round(churned.slowestP99Ms),
    requestsPerMinute: round((api.asked.length - asked) / minutes),
    steadyCpuPercent: round((100 * (usageOf(server.process.pid).cpuSeconds - before)) / (minutes * 60)),
    problems: (await status()).problems,
  };
}

const cleanup = new Cleanup();
const folder = mkdtempSync(join(tmpdir(), 'cellwall-bench-'));
cleanup.add('the folder', () => rmSync(folder, { recursive: true, force: true }));
cleanup.add('the stand-in', cleanUp);
try {
  process.stdout.write(`${JSON.stringify(await measure(folder, cleanup))}\n`);
} finally {
  await cleanup.run();
}
