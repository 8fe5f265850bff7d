// SPDX-License-Identifier: Apache-2.0
import { readFileSync, renameSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lossesIn } from '../harness/cellwall.js';
import { type Counts, expectedCounts, storedCounts, type Work, work } from '../harness/connector.js';
import { Lab } from '../harness/lab.js';
import type { Pod } from '../harness/pods.js';
import { until } from '../harness/run.js';

const TOTAL = 10_007;
const NOBODY = '203.0.113.9';
const FORBIDDEN = '198.51.100.7';

let lab: Lab;
let app: Pod;
let other: Pod;
let target: Pod;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent(['--udp-idle', '2', '--statistics-interval', '1', '--status-listen', '127.0.0.1:0']);
  const idle = ['/bin/sleep', '1000000'];
  const container = (name: string) => ({ name, image: 'localhost/web:1', command: idle });
  target = await lab.startPod({
    namespace: 'shop',
    name: 'target',
    containers: [{ name: 'sink', image: 'localhost/web:1', command: ['/usr/local/bin/sink', '7000'] }],
  });
  app = await lab.startPod({ namespace: 'shop', name: 'app', containers: [container('one'), container('two')] });
  other = await lab.startPod({ namespace: 'shop', name: 'other', containers: [container('three')] });
  // What is sent there vanishes on the way, as on a network that drops.
  lab.namespace.run('ip', ['route', 'add', 'blackhole', '203.0.113.0/24']);
  for (const name of ['app/one', 'other/three'])
    expect(lab.server.cli('deny', '--container', `shop/${name}`, '--to', FORBIDDEN).code).toBe(0);
  await lab.policyApplied();
});

afterAll(() => lab.cleanup.run());

function worklist(scale: number, denied: boolean): Work[] {
  const { v4, v6 } = target;
  const list: Work[] = [
    { mode: 'tcp', address: v4, port: 7000, count: 1300 * scale, expect: 'done' },
    { mode: 'tcp', address: v6, port: 7000, count: 700 * scale, expect: 'done' },
    { mode: 'tcp', address: v4, port: 7999, count: 300, expect: 'refused' },
    { mode: 'tcp', address: v6, port: 7999, count: 100, expect: 'refused' },
    { mode: 'tcp', address: NOBODY, port: 80, count: 53, expect: 'unanswered' },
    { mode: 'udp', address: v4, port: 7000, count: 200, expect: 'done' },
    { mode: 'udp', address: v6, port: 7000, count: 101, expect: 'done' },
    { mode: 'sendto', address: v4, port: 7000, count: 150, expect: 'done' },
    { mode: 'sendto', address: v6, port: 7000, count: 50, expect: 'done' },
  ];
  if (!denied) return list;
  return [
    ...list,
    { mode: 'tcp', address: FORBIDDEN, port: 443, count: 211, expect: 'denied' },
    { mode: 'udp', address: FORBIDDEN, port: 443, count: 97, expect: 'denied' },
    { mode: 'sendto', address: FORBIDDEN, port: 53, count: 61, expect: 'denied' },
  ];
}

test(`${TOTAL} connections of three containers are stored as they were made`, async () => {
  const lists: [Pod, string, Work[]][] = [
    [app, 'one', worklist(1, true)],
    [app, 'two', worklist(1, false)],
    [other, 'three', worklist(1, true)],
  ];
  const sum = lists.reduce((all, [, , list]) => all + list.reduce((total, it) => total + it.count, 0), 0);
  lists[1]?.[2].push({ mode: 'tcp', address: target.v4, port: 7000, count: TOTAL - sum, expect: 'done' });

  await Promise.all(lists.map(([pod, container, list]) => work(pod, container, list)));
  await lab.settled();

  const wanted: Counts = {};
  for (const [pod, container, list] of lists)
    for (const [key, count] of Object.entries(expectedCounts(`shop/${pod.spec.name}/${container}`, list)))
      wanted[key] = (wanted[key] ?? 0) + count;
  const flows = await lab.server.allFlows('direction=egress');
  expect(storedCounts(flows)).toEqual(wanted);
  expect(flows.length).toBe(TOTAL);
  expect(new Set(flows.map((flow) => flow.id)).size).toBe(TOTAL);
});

test('every refusal names its rule, and every allowed flow says that none had a say', async () => {
  const denied = await lab.server.allFlows('direction=egress&verdict=denied');
  expect(denied.length).toBe(2 * (211 + 97 + 61));
  for (const flow of denied) {
    expect(flow.rule.name).toBe('deny-198-51-100-7');
    expect(flow.rule.policy).toMatch(/^shop\/deny-(one|three)-/);
    expect(flow.rule.generation).toBeGreaterThan(0);
  }
  const two = await lab.server.allFlows('container=shop/app/two&direction=egress');
  expect(new Set(two.map((flow) => flow.rule.display))).toEqual(new Set(['(no policy)']));
});

test('the accepting container has a flow for each connection that it accepted', async () => {
  const accepted = await lab.server.allFlows('container=shop/target/sink&direction=ingress');
  const made = (await lab.server.allFlows('direction=egress&protocol=tcp&peer=:7000')).length;
  expect(accepted.length).toBe(made);
  const callers = new Set(accepted.map((flow) => flow.destination.address));
  expect(callers).toEqual(new Set([app.v4, app.v6, other.v4, other.v6]));
});

test('nothing is lost, and nothing is without a container', async () => {
  const status = await lab.server.get<{ lost: Record<string, number> }>('/v1/status');
  expect(lossesIn(status.lost)).toEqual({});
  const flows = await lab.server.allFlows('');
  expect(flows.filter((flow) => flow.container.container === '')).toEqual([]);
  expect(flows.filter((flow) => flow.partial)).toEqual([]);
});

test('the agent says that it is ready, and describes each thing that it counts', async () => {
  const port = /"answering probes","port":(\d+)/.exec(readFileSync(lab.agent.logFile, 'utf8'))?.[1];
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  expect((await get('/readyz')).status).toBe(200);
  expect((await get('/healthz')).status).toBe(200);
  const lines = (await (await get('/metrics')).text()).trim().split('\n');
  const values = new Map(lines.filter((it) => !it.startsWith('#')).map((it) => it.split(' ') as [string, string]));
  const described = new Set(lines.filter((it) => it.startsWith('# HELP ')).map((it) => it.split(' ')[2] ?? ''));
  for (const name of values.keys()) expect(described).toContain(name.replace(/\{.*|_total$/, ''));
  expect(values.size).toBeGreaterThan(40);
  expect(Number(values.get('cellwall_agent_connected'))).toBe(1);
  expect(Number(values.get('cellwall_agent_containers_under_policy'))).toBe(2);
  expect(Number(values.get('cellwall_agent_denied_attempts_total'))).toBeGreaterThanOrEqual(211 + 97 + 61);
  expect(Number(values.get('cellwall_agent_events_total'))).toBeGreaterThan(TOTAL);
  expect(Number(values.get('cellwall_agent_ring_full_events_total'))).toBe(0);
});

test('an agent whose programs somebody has taken away is not ready, and says why', async () => {
  const port = /"answering probes","port":(\d+)/.exec(readFileSync(lab.agent.logFile, 'utf8'))?.[1];
  const ready = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`);
    return { status: response.status, body: await response.text() };
  };
  renameSync(lab.pins, `${lab.pins}-away`);
  await until('the agent is not ready', async () => (await ready()).status === 503);
  expect((await ready()).body).toBe(`${lab.pins} is gone: what is in force ends with the agent\n`);
  renameSync(`${lab.pins}-away`, lab.pins);
  await until('the agent is ready', async () => (await ready()).status === 200);
});
