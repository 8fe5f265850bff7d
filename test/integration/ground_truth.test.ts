// SPDX-License-Identifier: Apache-2.0
//
// The same connections as the product, as connection tracking and as a packet capture saw them, compared one by one, while other
// containers come and go. LONG=1 (make truth): more and longer.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Flow } from '../../control-plane/src/flows/record.js';
import { Lab } from '../harness/lab.js';
import { addService } from '../harness/network.js';
import type { Pod } from '../harness/pods.js';
import { ConntrackRecorder, PacketRecorder } from '../harness/truth.js';

const SERVICE = { address: '10.96.0.20', port: 80 };
const BACKEND_PORT = 7000;
const LONG = process.env.LONG === '1';
/** Connections each second of both containers together, for how long, and containers that come and go meanwhile. */
const RATES = LONG
  ? [
      { rate: 200, seconds: 40, churn: 200 },
      { rate: 2000, seconds: 40, churn: 200 },
    ]
  : [
      { rate: 200, seconds: 6, churn: 20 },
      { rate: 2000, seconds: 6, churn: 20 },
    ];
/** Who it was is told by the port, also in what others saw. */
const PORTS = { nginx: [20_000, 39_999], malware: [40_000, 59_999] } as const;
type Caller = keyof typeof PORTS;

let lab: Lab;
let web: Pod;
let target: Pod;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  const idle = (name: string) => ({ name, image: 'localhost/web:1', command: ['/bin/sleep', '1000000'] });
  target = await lab.startPod({
    namespace: 'shop',
    name: 'target',
    containers: [
      { name: 'sink', image: 'localhost/web:1', command: ['/usr/local/bin/sink', String(BACKEND_PORT)] },
      idle('sidecar'),
    ],
  });
  web = await lab.startPod({ namespace: 'shop', name: 'web', containers: [idle('nginx'), idle('malware')] });
  addService(lab.namespace, SERVICE.address, SERVICE.port, target.v4, BACKEND_PORT);
});

afterAll(() => lab.cleanup.run());

async function call(container: Caller, count: number, rate: number): Promise<void> {
  const [first, last] = PORTS[container];
  const command = ['/usr/local/bin/caller', SERVICE.address, SERVICE.port, count, rate, first, last].map(String);
  const { code, stdout, stderr } = await web.exec(container, command);
  expect(stderr).toBe('');
  expect([code, JSON.parse(stdout)]).toEqual([0, { done: count, failed: 0 }]);
}

/** Containers that live for 50 ms and make one connection each. */
async function churn(pod: Pod, total: number): Promise<void> {
  const waiting = Array.from({ length: total }, (_, i) => `job-${i}`);
  const command = ['/usr/local/bin/connector', 'paced', target.v4, String(BACKEND_PORT), '0.05', '20'];
  const worker = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift())
      await pod.runToEnd({ name, image: 'localhost/web:1', command });
  };
  await Promise.all([worker(), worker()]);
}

/** Of `wanted`, what is not among `found` as often. */
function missing(wanted: readonly string[], found: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const it of found) left.set(it, (left.get(it) ?? 0) + 1);
  return wanted.filter((it) => {
    const count = left.get(it) ?? 0;
    left.set(it, count - 1);
    return count === 0;
  });
}

const callerOf = (source: string): Caller => (Number(source.split(':')[1]) < PORTS.malware[0] ? 'nginx' : 'malware');
const text = (end: { address: string; port: number }) => `${end.address}:${end.port}`;
const egressText = (flow: Flow) =>
  [
    flow.container.container,
    `${flow.local.address}:${flow.local.port}`,
    text(flow.destination),
    flow.translated ? `${text(flow.translated.source)} ${text(flow.translated.destination)}` : 'not translated',
  ].join(' ');

test.each(RATES)(
  '$rate connections/s, while $churn containers come and go',
  async ({ rate, seconds, churn: total }) => {
    const since = new Date().toISOString();
    const jobs = await lab.startPod({ namespace: 'shop', name: `jobs-${rate}`, containers: [] });
    const tracking = new ConntrackRecorder(lab.namespace, join(lab.folder, `conntrack-${rate}.log`));
    const [program = '', ...args] = target.inNetwork(PacketRecorder.capture(BACKEND_PORT));
    const packets = new PacketRecorder([program, ...args], join(lab.folder, `tcpdump-${rate}.log`));
    await Promise.all([tracking.started(), packets.started()]);
    const count = (rate / 2) * seconds;
    await Promise.all([call('nginx', count, rate / 2), call('malware', count, rate / 2), churn(jobs, total)]);
    await lab.settled();
    const tracked = (await tracking.connections()).filter((it) => it.destination === text(SERVICE));
    const captured = (await packets.callers()).filter((caller) => caller.startsWith('10.88.0.1:'));

    const egress = await lab.server.allFlows(`from=shop/web/*&since=${since}`);
    const wanted = tracked.map(
      (it) => `${callerOf(it.source)} ${it.source} ${it.destination} ${it.outside} ${it.backend}`,
    );
    expect(egress).toHaveLength(2 * count);
    expect(egress.filter((flow) => !flow.translated)).toEqual([]);
    // conntrack misses events at the higher rate; what it has must be there, once.
    expect(tracked.length).toBeGreaterThan(rate > 1000 ? 1.8 * count : 2 * count - 1);
    expect(missing(wanted, egress.map(egressText))).toEqual([]);

    const ingress = (await lab.server.allFlows(`container=shop/target/sink&direction=ingress&since=${since}`)).filter(
      (flow) => flow.destination.address === '10.88.0.1',
    );
    expect(ingress.map((flow) => text(flow.destination)).sort()).toEqual(captured.sort());
    const callers = new Map(tracked.map((it) => [it.outside, it.source]));
    const strangers = ingress.filter((flow) => {
      const source = callers.get(text(flow.destination)) ?? text(flow.translated?.source ?? { address: '', port: 0 });
      return (
        flow.peer?.name !== `shop/web/${callerOf(source)}` ||
        flow.peer.how !== 'conversation' ||
        text(flow.translated?.source ?? { address: '', port: 0 }) !== source
      );
    });
    expect(strangers).toEqual([]);

    const short = await lab.server.allFlows(`from=shop/jobs-${rate}/*&since=${since}`);
    expect(new Set(short.map((flow) => flow.container.name)).size).toBe(total);
    expect(short).toHaveLength(total);
    const everything = await lab.server.allFlows(`since=${since}&peers=false`);
    expect(everything.filter((flow) => flow.container.container === '')).toEqual([]);
  },
);

test('every flow of the service is behind its translated address, in every question', async () => {
  const at = (flow: Flow) => encodeURIComponent(flow.end ?? '');
  for (const container of ['nginx', 'malware']) {
    const [flow] = (await lab.server.get<{ flows: Flow[] }>(`/v1/flows?from=shop/web/${container}&limit=1`)).flows;
    if (!flow?.translated) throw new Error(`no translated flow of ${container}`);
    const { callers } = await lab.server.get<{ callers: Flow[] }>(
      `/v1/who?address=${text(flow.translated.source)}&at=${at(flow)}&slack=0.5`,
    );
    expect(new Set(callers.map((it) => it.container.container))).toContain(container);
    expect(callers[0]?.id === flow.id || callers[0]?.peer?.flow === flow.id).toBe(true);
  }
  const { calls } = await lab.server.get<{
    calls: { caller: { name: string }; called: { name: string }; flows: number }[];
  }>('/v1/map?namespace=shop&since=1h');
  const total = RATES.reduce((sum, { rate, seconds }) => sum + (rate / 2) * seconds, 0);
  for (const container of ['nginx', 'malware'])
    expect(calls.filter((it) => it.caller.name === `shop/web/${container}`)).toMatchObject([
      { called: { name: 'shop/target/sink' }, flows: total },
    ]);
  expect(calls.filter((it) => it.caller.name.startsWith('node/') || it.caller.name === '10.88.0.1')).toEqual([]);
});
