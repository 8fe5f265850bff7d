// SPDX-License-Identifier: Apache-2.0
//
// The loop closed on real pods: what was seen is learned, enforced and still works; one connection more is refused and named. A stricter
// version is tried beside the one in force, and what the next release does more is told.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connector, type Tally } from '../harness/connector.js';
import { Lab } from '../harness/lab.js';
import { nameServer } from '../harness/name_server.js';
import type { ContainerSpec, Pod } from '../harness/pods.js';
import { until } from '../harness/run.js';

const TOOLS = '/usr/local/bin';
const [ORDERS, CACHE] = [7000, 7001];
const VISITS = 5;

let lab: Lab;
let web: Pod;
let db: Pod;
let names: Pod;

const run = (name: string, ...command: string[]) => ({ name, image: 'localhost/web:1', command });
const idle = ['/bin/sleep', '1000000'];

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  const pod = (name: string, ...containers: ContainerSpec[]) => ({
    namespace: 'shop',
    name,
    labels: { app: name },
    containers,
  });
  db = await lab.startPod(
    pod('db', run('orders', `${TOOLS}/echo`, String(ORDERS)), run('cache', `${TOOLS}/echo`, String(CACHE))),
  );
  names = await lab.startPod(pod('dns', nameServer({ records: [['db.shop.test', db.v4]], zone: 'shop.test' })));
  web = await lab.startPod({ ...pod('web', run('nginx', ...idle), run('worker', ...idle)), nameServers: [names.v4] });
});

afterAll(() => lab.cleanup.run());

const call = (container: string, port: number, count: number): Promise<Tally> =>
  connector(web, container, ['tcp', db.v4, String(port), String(count)]);

/** What the application does: nginx looks its database up, the worker uses the cache. */
async function workload(): Promise<void> {
  const { stdout } = await web.exec('nginx', [
    `${TOOLS}/ask`,
    names.v4,
    'db.shop.test',
    String(ORDERS),
    String(VISITS),
  ]);
  expect(JSON.parse(stdout)).toEqual({ connected: VISITS, denied: 0, failed: 0, unanswered: 0 });
  expect(await call('worker', CACHE, VISITS)).toMatchObject({ done: VISITS, denied: 0 });
}

const refused = () => lab.server.allFlows('namespace=shop&verdict=denied');

test('what is learned from a workload lets it go on, and nothing else', async () => {
  const file = join(lab.folder, 'shop.yaml');
  await workload();
  await lab.settled();
  const learned = lab.server.cli('policy', 'learn', '--namespace', 'shop', '--since', '1h', '--mode', 'enforce');
  expect(learned).toMatchObject({ code: 0, stderr: expect.not.stringContaining('listed apart') });
  writeFileSync(file, learned.stdout);
  const simulated = lab.server.cli('policy', 'simulate', '-f', file, '--since', '1h');
  expect(simulated).toMatchObject({ code: 0, stdout: expect.stringContaining('0 flows newly refused') });
  expect(lab.server.cli('policy', 'apply', '-f', file).code).toBe(0);
  await lab.policyApplied();

  await workload();
  await lab.settled();
  expect(await refused()).toEqual([]);

  expect(await call('worker', ORDERS, 1)).toMatchObject({ denied: 1, done: 0 });
  await workload();
  await lab.settled();
  expect(await refused()).toMatchObject([
    {
      container: { name: 'shop/web/worker' },
      direction: 'egress',
      destination: { address: db.v4, port: ORDERS },
      rule: { policy: 'shop/web-worker', name: '(default deny)' },
    },
  ]);
  const again = lab.server.cli('policy', 'learn', '--namespace', 'shop', '--since', '1h');
  expect(again.stdout).toMatch(/# {3}shop\/web\/worker to shop\/db\/orders tcp\/7000: 1 flow, .*: was refused\n/);
});

test('a version that is staged says in each flow what it would refuse, and refuses nothing', async () => {
  const file = join(lab.folder, 'stricter.yaml');
  const { stdout } = lab.server.cli('policy', 'get', 'shop/web-worker');
  writeFileSync(file, stdout.replaceAll(String(CACHE), String(CACHE + 1)));
  expect(lab.server.cli('policy', 'stage', '-f', file).code).toBe(0);
  await workload();
  await lab.settled();
  const recent = (await lab.server.allFlows('namespace=shop&since=1m&direction=egress')).slice(0, 2 * VISITS);
  const pending = (container: string) =>
    recent.filter((it) => it.container.name === container).map((it) => [it.verdict, it.pending?.verdict]);
  expect(pending('shop/web/worker').slice(0, VISITS)).toEqual(Array(VISITS).fill(['allowed', 'denied']));
  const promoted = lab.server.cli('policy', 'promote', 'shop/web-worker');
  expect(promoted).toMatchObject({ code: 1, stdout: expect.stringContaining(`${VISITS} flows newly refused`) });
  expect(lab.server.cli('policy', 'unstage', 'shop/web-worker').code).toBe(0);
  await workload();
});

test('a release that talks to one more peer is told of within a minute', async () => {
  const began = Date.now();
  lab.tagImage('localhost/web:1', 'localhost/web:2');
  await web.remove();
  const next = (name: string) => ({ ...run(name, ...idle), image: 'localhost/web:2' });
  const containers = [next('nginx'), next('worker')];
  web = await lab.startPod({ ...web.spec, containers });
  await workload();
  expect(await call('nginx', CACHE, 1)).toMatchObject({ denied: 1 });
  const drift = () =>
    JSON.parse(
      lab.server.cli('policy', 'drift', '--namespace', 'shop', '--since', '1h', '--fail-on', 'never', '-o', 'json')
        .stdout,
    ) as {
      releases: { container: string; flows: { peer: string; port: number; verdict: string; patched: boolean }[] }[];
    };
  await until('drift tells of it', () => drift().releases.some((it) => it.flows.length > 0), 60_000, 500);
  expect((Date.now() - began) / 1000).toBeLessThan(60);
  // The worker does what it did before.
  expect(drift().releases).toMatchObject([
    { container: 'shop/web/nginx', flows: [{ peer: 'shop/db/cache', port: CACHE, verdict: 'denied', patched: true }] },
  ]);
});
