// SPDX-License-Identifier: Apache-2.0
//
// The loop closed on real pods: what was seen is learned, enforced and still works; one connection more is refused and named.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connector, type Tally } from '../harness/connector.js';
import { Lab } from '../harness/lab.js';
import { nameServer } from '../harness/name_server.js';
import type { ContainerSpec, Pod } from '../harness/pods.js';

const TOOLS = '/usr/local/bin';
const [ORDERS, CACHE] = [7000, 7001];
const VISITS = 5;

let lab: Lab;
let web: Pod;
let db: Pod;
let names: Pod;

const run = (name: string, ...command: string[]) => ({ name, image: 'localhost/web:1', command });

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
  const idle = ['/bin/sleep', '1000000'];
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
