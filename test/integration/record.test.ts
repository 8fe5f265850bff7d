// SPDX-License-Identifier: Apache-2.0
//
// What a record says beyond addresses: names, what is carried, a mesh's redirect, who listens. Real programs, real protocols.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Flow } from '../../control-plane/src/flows/record.js';
import { psqlPath } from '../harness/images.js';
import { Lab } from '../harness/lab.js';
import { nameServer } from '../harness/name_server.js';
import { addService } from '../harness/network.js';
import type { Pod } from '../harness/pods.js';
import { run, until } from '../harness/run.js';

const SERVICE = '10.96.0.10';
const PROXY_UID = '1337';
const PROXY_PORT = '15001';

let lab: Lab;
let web: Pod;
let db: Pod;
let shopfront: Pod;
let mesh: Pod;

const idle = (name: string) => ({ name, image: 'localhost/web:1', command: ['/bin/sleep', '1000000'] });
const nginx = { name: 'nginx', image: 'localhost/web:1', command: ['/usr/sbin/nginx', '-c', '/etc/nginx/nginx.conf'] };

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  db = await lab.startPod({
    namespace: 'shop',
    name: 'db',
    containers: [{ name: 'postgres', image: 'localhost/db:1', command: ['/bin/sh', '/start-database'] }],
  });
  shopfront = await lab.startPod({ namespace: 'shop', name: 'front', containers: [nginx, idle('sidecar')] });
  addService(lab.namespace, SERVICE, 5432, db.v4, 5432);
  const names = await lab.startPod({
    namespace: 'shop',
    name: 'dns',
    containers: [
      nameServer({
        records: [
          ['db.shop.test', SERVICE],
          ['front.shop.test', shopfront.v4],
        ],
        zone: 'shop.test',
      }),
    ],
  });
  web = await lab.startPod({
    namespace: 'shop',
    name: 'web',
    containers: [idle('client'), idle('other')],
    nameServers: [names.v4],
  });
  mesh = await lab.startPod({
    namespace: 'mesh',
    name: 'app',
    containers: [
      idle('app'),
      { name: 'proxy', image: 'localhost/web:1', command: ['/usr/local/bin/relay', PROXY_PORT, PROXY_UID] },
    ],
  });
  await until('the database answers', async () => (await query(db.v4)).code === 0, 60_000, 300);
  const { code, stderr } = lab.server.cli('observe', '--container', 'shop/web/client', '--names', '--payload');
  expect([code, stderr]).toEqual([0, '']);
  await lab.policyApplied();
});

afterAll(() => lab.cleanup.run());

const query = (host: string) =>
  web.exec('other', [
    psqlPath(),
    '-d',
    `host=${host} user=postgres sslmode=disable connect_timeout=5`,
    '-Atc',
    'select 1',
  ]);

async function flowsOf(container: string, more = ''): Promise<Flow[]> {
  await lab.settled();
  return lab.server.allFlows(`from=shop/web/${container}&protocol=tcp${more}`);
}

test('flows have the name that their address was looked up by, and what they carry', async () => {
  const curl = (...args: string[]) => web.exec('client', ['/usr/bin/curl', '-s', '--max-time', '5', ...args]);
  expect((await curl('http://front.shop.test/')).stdout).toBe('shop\n');
  expect((await curl('-k', 'https://front.shop.test/')).stdout).toBe('shop\n');
  expect((await curl('--http2-prior-knowledge', 'http://front.shop.test:8081/')).stdout).toBe('shop\n');
  const target = 'host=db.shop.test user=postgres sslmode=disable gssencmode=disable connect_timeout=5';
  expect((await web.exec('client', [psqlPath(), '-d', target, '-Atc', 'select 1'])).stdout).toBe('1\n');
  const flows = await flowsOf('client');
  const told = flows.map((flow) => [
    flow.name,
    flow.peer?.name,
    flow.payload,
    flow.tls?.serverName ?? null,
    flow.plaintext,
  ]);
  expect(told.reverse()).toEqual([
    ['front.shop.test', 'shop/front/nginx', 'http1', null, true],
    ['front.shop.test', 'shop/front/nginx', 'tls', 'front.shop.test', false],
    ['front.shop.test', 'shop/front/nginx', 'http2', null, true],
    ['db.shop.test', 'shop/db/postgres', 'postgres', null, true],
  ]);
  expect(flows.find((flow) => flow.payload === 'tls')?.tls?.version).toBe('1.3');
  const { stdout } = lab.server.cli(
    'flows',
    '--plaintext',
    '--from',
    'shop/web/client',
    '--name',
    'db.*',
    '-o',
    'jsonl',
  );
  expect(stdout.trim().split('\n')).toHaveLength(1);
});

test('look-ups are on record, also those that failed', async () => {
  expect((await web.exec('client', ['/usr/bin/curl', '-s', 'http://nowhere.shop.test/'])).code).toBe(6);
  const lookups = await until('the failed look-up is stored', async () => {
    const page = await lab.server.get<{ lookups: { name: string; result: string; type: string }[] }>(
      '/v1/lookups?container=shop/web/client&name=nowhere.*',
    );
    return page.lookups.length > 0 ? page.lookups : undefined;
  });
  expect(lookups.every((it) => it.result !== 'answered')).toBe(true);
  const { lookups: all } = await lab.server.get<{ lookups: { name: string; result: string; addresses: string[] }[] }>(
    '/v1/lookups?name=db.shop.test',
  );
  expect(all.find((it) => it.result === 'answered')?.addresses).toEqual([SERVICE]);
});

test('a container that nobody asked about is not looked into', async () => {
  expect((await query(SERVICE)).stdout).toBe('1\n');
  const flows = await flowsOf('other', `&service=${SERVICE}`);
  expect(flows.length).toBeGreaterThan(0);
  expect(flows.filter((flow) => flow.payload !== null || flow.name !== null)).toEqual([]);
});

test('behind a mesh the application keeps its real destination, and the proxy its own connections', async () => {
  const rules = `table ip mesh { chain output { type nat hook output priority -100; tcp dport 80 meta skuid != ${PROXY_UID} redirect to :${PROXY_PORT}; }; }`;
  const [program = '', ...args] = mesh.inNetwork(['nft', rules]);
  run(program, args);
  const fetched = await mesh.exec('app', ['/usr/bin/curl', '-s', '--max-time', '5', `http://${shopfront.v4}/`]);
  expect(fetched.stdout).toBe('shop\n');
  await lab.settled();
  const flows = await lab.server.allFlows('namespace=mesh&protocol=tcp');
  const of = (container: string, direction: string) =>
    flows.filter((flow) => flow.container.container === container && flow.direction === direction);
  expect(of('app', 'egress')).toMatchObject([
    {
      destination: { address: shopfront.v4, port: 80 },
      translated: { destination: { port: Number(PROXY_PORT) } },
      peer: { name: 'mesh/app/proxy' },
    },
  ]);
  expect(of('proxy', 'ingress')).toMatchObject([
    { translated: { destination: { address: shopfront.v4, port: 80 } }, peer: { name: 'mesh/app/app' } },
  ]);
  expect(of('proxy', 'egress')).toMatchObject([
    { destination: { address: shopfront.v4, port: 80 }, peer: { name: 'shop/front/nginx' } },
  ]);
});

test('who listens is known, and the command line answers in words', async () => {
  const { stdout } = lab.server.cli('listeners', '--namespace', 'shop', '--port', '5432');
  expect(stdout).toMatch(/shop\/db\/postgres +node-1 +tcp 0\.0\.0\.0:5432 +postgres/);
  const map = lab.server.cli('map', '--namespace', 'shop', '--pod', 'web', '--container', 'client').stdout;
  expect(map).toMatch(/^shop\/web\/client calls:\n/);
  expect(map).toMatch(/ {2}shop\/db\/postgres 5432 through 10\.96\.0\.10 \(1 flow, .*postgres, plaintext\)/);
  const who = lab.server.cli('who', `${SERVICE}:5432`, '--slack', '600');
  expect(who.stdout).toContain('shop/db/postgres');
});
