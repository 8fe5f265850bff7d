// SPDX-License-Identifier: Apache-2.0
//
// All that is known of a flow, through the whole server.
import { describe, expect, it } from 'vitest';
import { batchOf, type SampleFlow } from '../testing/batches.js';
import { shared, type TestServer, testServer } from '../testing/server.js';

const NOW = Date.now() * 1000;
const DENIED = { verdict: 2, end: 2 };

type Flow = { id: string; [key: string]: unknown };
type Page = { flows: Flow[]; nextCursor: string | null };
const page = async (server: TestServer, query: string) => (await server.ask(`/v1/flows?${query}`)).body as Page;

/** nginx and malware of `web` talk to a database, to a name over TLS, and in clear. */
const STORY: readonly SampleFlow[] = [
  {
    cgroup: 7,
    endUs: NOW - 5e6,
    durationUs: 1e6,
    remote: [10, 96, 0, 10],
    remotePort: 5432,
    localPort: 41001,
    source: [[192, 168, 0, 1], 61001],
    destination: [[10, 0, 0, 9], 15432],
    payload: 6,
  },
  {
    cgroup: 7,
    endUs: NOW - 4e6,
    durationUs: 1e6,
    remote: [203, 0, 113, 7],
    name: 'api.stripe.com',
    payload: 2,
    tlsVersion: 0x0304,
    serverName: 'api.stripe.com',
  },
  { cgroup: 8, endUs: NOW - 3e6, remote: [203, 0, 113, 8], remotePort: 80, payload: 3 },
  { cgroup: 8, endUs: NOW - 2e6, remote: [203, 0, 113, 9], end: 3, failure: 2, flags: 4 },
  {
    cgroup: 9,
    endUs: NOW - 1e6,
    direction: 2,
    local: [10, 0, 0, 9],
    localPort: 15432,
    remote: [192, 168, 0, 1],
    remotePort: 61001,
  },
  { cgroup: 8, endUs: NOW - 1e6, remote: [10, 0, 0, 9], remotePort: 15432, ...DENIED },
];

async function storyServer(more: object = {}): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const createdUs = NOW - 3600e6;
  const web = { namespace: 'shop', pod: 'web', addresses: ['10.0.0.1'], createdUs };
  agent.send({
    containers: {
      complete: true,
      upserted: [
        { cgroupId: 7, ...web, name: 'nginx' },
        { cgroupId: 8, ...web, name: 'malware' },
        { cgroupId: 9, namespace: 'shop', pod: 'db', name: 'postgres', addresses: ['10.0.0.9'], createdUs },
      ],
    },
  });
  agent.sendBatch(batchOf(1, 1, STORY, more));
  await agent.acknowledged(1);
  return server;
}

const LISTENER = {
  cgroup: 9,
  protocol: 6,
  address: new Uint8Array(4),
  port: 15432,
  processId: 5,
  processName: 'postgres',
};
const LOOKUPS = [
  {
    cgroup: 7,
    windowUs: NOW - (NOW % 60e6),
    name: 'api.stripe.com',
    type: 1,
    result: 1,
    count: 3,
    addresses: [Uint8Array.of(203, 0, 113, 7)],
  },
  { cgroup: 7, windowUs: NOW - (NOW % 60e6), name: 'nowhere.example', type: 28, result: 3, count: 2, addresses: [] },
];

describe('a complete record', () => {
  const story = shared(() => storyServer());

  it('has both sides of translation, the name, what is carried, and who is at the other end', async () => {
    const server = await storyServer();
    const { flows } = await page(server, 'container=nginx');
    expect(flows).toMatchObject([
      {
        name: 'api.stripe.com',
        payload: 'tls',
        plaintext: false,
        tls: { version: '1.3', serverName: 'api.stripe.com' },
        translated: null,
        peer: null,
      },
      {
        destination: { address: '10.96.0.10', port: 5432 },
        translated: {
          source: { address: '192.168.0.1', port: 61001 },
          destination: { address: '10.0.0.9', port: 15432 },
        },
        payload: 'postgres',
        plaintext: true,
        peer: { name: 'shop/db/postgres', how: 'conversation' },
      },
    ]);
    expect((await page(server, 'failure=timed-out')).flows).toMatchObject([
      { failure: 'timed-out', endReason: 'failed', untracked: true },
    ]);
  });

  it.each([
    ['plaintext=true', 2],
    ['payload=tls', 1],
    ['name=*.stripe.com', 1],
    ['name=stripe.com', 0],
    ['service=10.96.0.10:5432', 1],
    ['port=15432', 2],
    ['peer=10.0.0.9:15432', 2],
    ['failure=refused', 0],
    ['from=shop/web/nginx', 2],
    ['from=shop/web/*&verdict=denied', 1],
    ['to=shop/db/postgres', 3],
    ['from=shop/web/nginx&to=shop/db/postgres', 1],
    ['from=192.168.0.1', 2],
    ['to=203.0.113.0/24', 3],
    ['to=203.0.113.0/24&not=container=malware', 1],
    ['not=verdict=denied&not=direction=ingress', 4],
    ['not=from=shop/web/nginx', 4],
    ['container=shop/*/nginx', 2],
  ])('answers %s with %i flows', async (query, count) => {
    expect((await page(await story(), query)).flows).toHaveLength(count);
  });

  it.each([
    ['not=verdict', /FILTER=VALUE/],
    ['not=colour=red', /FILTER=VALUE/],
    ['port=70000', /1 to 65535/],
    ['payload=morse', /it is one of unknown, tls/],
    ['plaintext=yes', /it is true or left out/],
    ['service=:443', /ADDRESS or ADDRESS:PORT/],
    ['from=a/b/c/d', /from "a\/b\/c\/d"/],
  ])('refuses %s', async (query, message) => {
    const { status, body } = await (await story()).ask(`/v1/flows?${query}`);
    expect(status).toBe(400);
    expect((body as { error: { message: string } }).error.message).toMatch(message);
  });

  it('is shown alone with the record at its other end', async () => {
    const server = await storyServer();
    const id = (await page(server, 'service=10.96.0.10')).flows[0]?.id;
    const { body } = await server.ask(`/v1/flows/${id}`);
    expect(body).toMatchObject({
      flow: { id, container: { name: 'shop/web/nginx' } },
      otherEnd: { direction: 'ingress', container: { name: 'shop/db/postgres' } },
    });
    expect((await server.ask('/v1/flows/2026-01-01-1')).status).toBe(404);
    expect((await server.ask('/v1/flows/first')).status).toBe(400);
  });

  it('answers who was behind an address that was seen outside', async () => {
    const server = await storyServer();
    const at = new Date((NOW - 5.5e6) / 1000).toISOString();
    const { body } = await server.ask(`/v1/who?address=192.168.0.1:61001&at=${at}&slack=0`);
    expect(body).toMatchObject({ callers: [{ container: { name: 'shop/web/nginx' } }], called: [] });
    expect((await server.ask('/v1/who?address=192.168.0.1')).status).toBe(400);
    expect((await server.ask('/v1/who?address=10.0.0.0/8:1')).status).toBe(400);
  });

  it('has listeners, until they stop', async () => {
    const server = await storyServer({ open: { timeUs: NOW, flows: { rows: 0 }, listeners: [LISTENER] } });
    const { body } = await server.ask('/v1/listeners?namespace=shop');
    expect(body).toMatchObject({
      listeners: [
        { container: { name: 'shop/db/postgres' }, protocol: 'tcp', address: '0.0.0.0', port: 15432, until: null },
      ],
    });
    expect((await server.ask('/v1/listeners?port=1')).body).toEqual({ listeners: [] });
  });

  it('has look-ups, failed ones too', async () => {
    const server = await storyServer({ lookups: LOOKUPS });
    const all = (await server.ask('/v1/lookups?container=nginx')).body as { lookups: unknown[] };
    expect(all.lookups).toMatchObject([
      { name: 'api.stripe.com', type: 'A', result: 'answered', count: 3, addresses: ['203.0.113.7'] },
      { name: 'nowhere.example', type: 'AAAA', result: 'not-found', count: 2 },
    ]);
    expect((await server.ask('/v1/lookups?failed=true')).body).toMatchObject({
      lookups: [{ name: 'nowhere.example' }],
    });
    expect((await server.ask('/v1/lookups?container=malware')).body).toEqual({ lookups: [] });
  });

  it('is summed up to who calls whom', async () => {
    const server = await storyServer();
    const { body } = await server.ask('/v1/map?namespace=shop&since=1h');
    const calls = (body as { calls: { caller: { name: string }; called: { name: string }; port: number }[] }).calls;
    expect(calls.map((it) => `${it.caller.name} ${it.called.name} ${it.port}`).sort()).toEqual([
      'shop/web/malware 203.0.113.8 80',
      'shop/web/malware 203.0.113.9 443',
      'shop/web/malware shop/db/postgres 15432',
      'shop/web/nginx api.stripe.com 443',
      'shop/web/nginx shop/db/postgres 5432',
    ]);
  });
});
