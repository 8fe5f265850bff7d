// SPDX-License-Identifier: Apache-2.0

import { describe, expect, it } from 'vitest';
import { batchOf, columnsOf, plainFlows, type SampleFlow } from '../testing/batches.js';
import { TOKEN } from '../testing/certificates.js';
import { shared, type TestServer, testServer } from '../testing/server.js';
import { REQUIRED } from './required_roles.js';

const NOW = Date.now() * 1000;
const DENIED = { verdict: 2, end: 2 };

async function serverWith(flows: readonly SampleFlow[], more: object = {}): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  agent.send({
    containers: {
      complete: true,
      upserted: [
        {
          cgroupId: 7,
          namespace: 'shop',
          pod: 'web',
          name: 'nginx',
          image: 'nginx:1',
          labels: { app: 'web' },
          addresses: ['10.0.0.1'],
        },
        { cgroupId: 8, namespace: 'shop', pod: 'web', name: 'malware' },
      ],
    },
  });
  agent.sendBatch(batchOf(1, 1, flows, more));
  await agent.acknowledged(1);
  return server;
}

type Flow = { id: string; container: { name: string }; end: string | null; [key: string]: unknown };
type Page = { flows: Flow[]; nextCursor: string | null };
const page = async (server: TestServer, query: string) => (await server.ask(`/v1/flows?${query}`)).body as Page;

const policy = (name: string, network = '10.0.0.5') => `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: ${name}, namespace: shop}
spec:
  subject: {containers: [malware]}
  egress: [{name: no-db, action: Deny, to: [{networks: [${network}]}]}]
`;
const observation = (name: string, what = 'names: true') => `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerObservation
metadata: {name: ${name}, namespace: shop}
spec: {subject: {containers: [nginx]}, ${what}}
`;
const put = (body: string, query = '') => [`/v1/policies${query}`, { method: 'PUT', body }] as const;

describe('/v1/flows', () => {
  it('tells two containers of one pod apart, and names the destination, the verdict and its rule', async () => {
    const server = await serverWith([
      { cgroup: 7, endUs: NOW - 2, durationUs: 1000 },
      { cgroup: 8, endUs: NOW - 1, remote: [10, 0, 0, 5], remotePort: 1433, ...DENIED },
    ]);
    const { flows } = await page(server, 'container=shop/web/malware');
    expect(flows).toHaveLength(1);
    expect(flows[0]).toMatchObject({
      container: { name: 'shop/web/malware', cgroupId: '8' },
      node: 'n',
      direction: 'egress',
      protocol: 'tcp',
      destination: { address: '10.0.0.5', port: 1433 },
      verdict: 'denied',
      endReason: 'denied',
      rule: { display: '(no policy)' },
      start: null,
    });
  });

  const mixed = shared(() =>
    serverWith([
      { cgroup: 7, endUs: NOW - 4 },
      { cgroup: 8, endUs: NOW - 3, remote: [10, 0, 0, 5], remotePort: 1433, ...DENIED },
      { cgroup: 7, endUs: NOW - 2, protocol: 17, remote: [0xfd, ...Array(14).fill(0), 1], remotePort: 53 },
      { cgroup: 9, endUs: NOW - 1, direction: 2, end: 3, remote: [192, 0, 2, 1] },
    ]),
  );
  it.each([
    ['verdict=denied', 1],
    ['verdict=allowed', 3],
    ['direction=ingress', 1],
    ['protocol=udp', 1],
    ['peer=10.0.0.5', 1],
    ['peer=10.0.0.0/24', 2],
    ['peer=10.0.0.2:443', 1],
    ['peer=[fd00::1]:53', 1],
    ['peer=fd00::/8', 1],
    ['peer=:1433', 1],
    ['pod=web', 3],
    ['container=nginx', 2],
    ['container=cgroup:9', 1],
    ['node=elsewhere', 0],
    ['since=1h', 4],
    ['to=1h', 0],
    ['end=failed', 1],
  ])('with %s finds %i', async (query, count) => {
    expect((await page(await mixed(), query)).flows).toHaveLength(count);
  });

  const many = shared(() => serverWith(plainFlows(50, 7, NOW)));
  it.each(['', 'container=cgroup:7&', 'pod=web&'])(
    'pages through everything once, newest first (%s)',
    async (filter) => {
      const server = await many();
      const seen: Flow[] = [];
      for (let cursor: string | null = ''; cursor !== null; ) {
        const { flows, nextCursor }: Page = await page(server, `${filter}limit=7${cursor && `&cursor=${cursor}`}`);
        seen.push(...flows);
        cursor = nextCursor;
      }
      expect(new Set(seen.map((flow) => flow.id)).size).toBe(50);
      expect(seen.map((flow) => flow.end)).toEqual(
        seen
          .map((flow) => flow.end)
          .sort()
          .reverse(),
      );
    },
  );

  it('shows open flows first when asked to', async () => {
    const open = { timeUs: NOW, flows: columnsOf([{ cgroup: 7, endUs: NOW, durationUs: 5, end: 0, cookie: 1 }]) };
    const server = await serverWith(plainFlows(2, 7, NOW), { open });
    expect((await page(server, 'open=include')).flows.map((flow) => flow.end === null)).toEqual([true, false, false]);
    expect((await page(server, 'open=only')).flows).toHaveLength(1);
    expect((await page(server, '')).flows).toHaveLength(2);
  });

  it.each([
    'verdict=maybe',
    'peer=10.0.0.1/8',
    'since=yesterday',
    'limit=0',
    'limit=1001',
    'cursor=x',
    'contaner=web',
    'since=1h&until=2h',
  ])('refuses %s with one error', async (query) => {
    const { status, body } = await (await mixed()).ask(`/v1/flows?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 'invalid_filter', message: expect.any(String) } });
  });
});

describe('/v1/flows/stream', () => {
  it('gives what is stored from now on, and answers before there is anything', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(5, 7, NOW)));
    await agent.acknowledged(1);
    const stop = new AbortController();
    const headers = { authorization: `Bearer ${TOKEN}` };
    const response = await fetch(`${server.httpAddress}/v1/flows/stream?verdict=denied`, {
      headers,
      signal: stop.signal,
    });
    expect(response.headers.get('content-type')).toContain('application/x-ndjson');
    agent.sendBatch(batchOf(2, 6, [...plainFlows(3, 7, NOW), { cgroup: 8, endUs: NOW, ...DENIED }]));
    const reader = response.body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    const lines = new TextDecoder().decode(value).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).verdict)).toEqual(['denied']);
    stop.abort();
  });
});

describe('/v1/policies', () => {
  it('creates, replaces, shows and deletes, with a generation for each change', async () => {
    const server = await serverWith([]);
    expect((await server.ask(...put(policy('a')))).body).toMatchObject({
      applied: [{ key: 'shop/a', change: 'created', before: null, after: { kind: 'ContainerPolicy' } }],
      generation: 1,
      warnings: [],
    });
    expect((await server.ask(...put(policy('a')))).body).toMatchObject({
      applied: [{ change: 'unchanged' }],
      generation: 1,
    });
    expect((await server.ask(...put(policy('a', '10.0.0.6')))).body).toMatchObject({
      applied: [{ change: 'updated' }],
      generation: 2,
    });
    expect((await server.ask('/v1/policies/shop/a')).body).toMatchObject({
      key: 'shop/a',
      mode: 'Enforce',
      generation: 2,
    });
    expect((await server.ask('/v1/policies/shop/a', { method: 'DELETE' })).body).toEqual({ generation: 3 });
    expect((await server.ask('/v1/policies/shop/a')).status).toBe(404);
    expect((await server.ask('/v1/policies/shop/a', { method: 'DELETE' })).body).toMatchObject({
      error: { code: 'not_found' },
    });
  });

  it('changes nothing in a dry run, or when one of several documents is wrong', async () => {
    const server = await testServer();
    expect((await server.ask(...put(policy('a'), '?dryRun=true'))).body).toMatchObject({
      applied: [{ change: 'created' }],
      generation: 0,
    });
    const { status, body } = await server.ask(
      ...put(`${policy('a')}\n---\n${policy('b', '10.0.0.1/8')}`, '?source=p.yaml'),
    );
    expect(status).toBe(422);
    expect(body).toMatchObject({
      error: { code: 'invalid_policy', details: [{ where: expect.stringMatching(/^p\.yaml:\d+:\d+/) }] },
    });
    expect((await server.ask('/v1/policies')).body).toEqual({ policies: [], generation: 0 });
  });

  it('warns of a policy that selects nothing', async () => {
    const { body } = await (await testServer()).ask(...put(policy('a')));
    expect(body).toMatchObject({ warnings: ['shop/a selects no container that runs now'] });
  });

  it('takes policies and observations in one body, and tells them apart by kind', async () => {
    const server = await serverWith([]);
    expect((await server.ask(...put(`${policy('a')}---${observation('a')}`))).body).toMatchObject({
      applied: [
        { key: 'shop/a', change: 'created' },
        { key: 'observation:shop/a', change: 'created' },
      ],
      generation: 1,
      warnings: [],
    });
    expect((await server.ask('/v1/policies')).body).toMatchObject({
      policies: [
        { key: 'observation:shop/a', kind: 'ContainerObservation', namespace: 'shop', name: 'a', mode: null },
        { key: 'shop/a', kind: 'ContainerPolicy', namespace: 'shop', name: 'a', mode: 'Enforce' },
      ],
    });
    expect((await server.ask('/v1/policies/shop/a?kind=ContainerObservation')).body).toMatchObject({
      key: 'observation:shop/a',
      document: { spec: { names: true } },
    });
    expect((await server.ask('/v1/policies/shop/a?kind=Pod')).status).toBe(400);
    const remove = () => server.ask('/v1/policies/shop/a?kind=ContainerObservation', { method: 'DELETE' });
    expect((await remove()).body).toEqual({ generation: 2 });
    expect((await remove()).status).toBe(404);
    expect((await server.ask('/v1/policies/shop/a')).status).toBe(200);
  });

  it('refuses a body above 1 MiB', async () => {
    const { status, body } = await (await testServer()).ask(...put('#'.repeat((1 << 20) + 1)));
    expect(status).toBe(413);
    expect(body).toMatchObject({ error: { code: 'too_large' } });
  });
});

describe('/v1/containers and /v1/nodes', () => {
  it('lists what agents told, with the policies of each container', async () => {
    const server = await serverWith(plainFlows(3, 7, NOW));
    await server.ask(...put(policy('a')));
    expect((await server.ask('/v1/containers?name=malware')).body).toMatchObject({
      containers: [{ name: 'shop/web/malware', policies: ['shop/a'], gone: null }],
    });
    expect((await server.ask('/v1/containers?node=elsewhere')).body).toEqual({ containers: [] });
    expect((await server.ask('/v1/nodes')).body).toMatchObject({
      nodes: [
        {
          name: 'n',
          epoch: 'boot.1',
          connected: true,
          kernel: '6.18',
          containers: 2,
          flows: { stored: 3, openNow: 0 },
        },
      ],
    });
  });

  it('shows what is observed of each container, which makes it no container under policy', async () => {
    const server = await serverWith([]);
    const seen = async () => {
      const { body } = await server.ask('/v1/containers');
      const { containers } = body as { containers: { container: string; policies: string[]; observed: object }[] };
      return Object.fromEntries(containers.map((it) => [it.container, [it.policies, it.observed]]));
    };
    await server.ask(...put(`${observation('a')}---${observation('b', 'payload: true')}`));
    const nothing = { names: false, payload: false };
    expect(await seen()).toEqual({ nginx: [[], { names: true, payload: true }], malware: [[], nothing] });
    await server.ask('/v1/policies/shop/a?kind=ContainerObservation', { method: 'DELETE' });
    expect(await seen()).toEqual({ nginx: [[], { names: false, payload: true }], malware: [[], nothing] });
  });

  it('keeps the flows of a container that was named after them', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(1, 7, NOW)));
    await agent.acknowledged(1);
    expect((await page(server, '')).flows[0]?.container.name).toBe('cgroup:7');
    agent.send({ containers: { upserted: [{ cgroupId: 7, name: 'late' }] } });
    agent.send({ heartbeat: { number: 1 } });
    await agent.next('heartbeat');
    await expect.poll(async () => (await page(server, 'container=late')).flows.length).toBe(1);
    agent.send({ containers: { removed: [7] } });
    await expect.poll(async () => (await server.ask('/v1/containers')).body).toEqual({ containers: [] });
    expect((await server.ask('/v1/containers?gone=true')).body).toMatchObject({ containers: [{ name: 'late' }] });
  });
});

describe('/v1/hints', () => {
  const known = shared(async () => {
    const server = await serverWith([]);
    await server.ask(...put(`${policy('a')}---${observation('seen')}`));
    return server;
  });
  it.each([
    ['field=container', ['shop/web/malware', 'shop/web/nginx']],
    ['field=container&prefix=shop/web/n', ['shop/web/nginx']],
    ['field=namespace', ['shop']],
    ['field=pod&prefix=w', ['web']],
    ['field=pod&prefix=x', []],
    ['field=node', ['n']],
    ['field=policy', ['observation:shop/seen', 'shop/a']],
    ['field=policy&prefix=observation:', ['observation:shop/seen']],
  ])('with %s gives %j', async (query, values) => {
    expect((await (await known()).ask(`/v1/hints?${query}`)).body).toEqual({ values });
  });

  it('gives the first fifty, and knows its fields', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    const upserted = Array.from({ length: 60 }, (_, i) => ({ cgroupId: 100 + i, name: `c${100 + i}` }));
    agent.send({ containers: { complete: true, upserted } });
    agent.send({ heartbeat: { number: 1 } });
    await agent.next('heartbeat');
    const { values } = (await server.ask('/v1/hints?field=container&prefix=c')).body as { values: string[] };
    expect(values).toEqual(upserted.slice(0, 50).map(({ name }) => name));
    expect((await server.ask('/v1/hints?field=colour')).status).toBe(400);
  });
});

describe('the server', () => {
  it('tells that it is alive and ready, its metrics and its own description', async () => {
    const server = await serverWith(plainFlows(3, 7, NOW));
    expect((await server.ask('/healthz')).status).toBe(200);
    expect((await server.ask('/readyz')).status).toBe(200);
    expect((await server.ask('/metrics')).body).toContain('cellwall_flows_stored 3');
    const { paths } = (await server.ask('/openapi.json')).body as { paths: object };
    const routes = Object.keys(REQUIRED).map((key) =>
      /^[A-Z]+ (\/v1\/[^?]+)/.exec(key)?.[1]?.replace(/:(\w+)/g, '{$1}'),
    );
    expect(new Set(Object.keys(paths))).toEqual(new Set(routes.filter((path) => path !== undefined)));
  });

  it('names what it does not know', async () => {
    const { status, body } = await (await testServer()).ask('/v1/nothing');
    expect(status).toBe(404);
    expect(body).toMatchObject({ error: { code: 'not_found', message: expect.stringContaining('/v1/nothing') } });
  });

  it('wants a token for all but its health', async () => {
    const server = await testServer();
    const as = (authorization: string) => ({ headers: { authorization } });
    expect((await server.ask('/v1/status', as(''))).status).toBe(401);
    expect((await server.ask('/v1/status', as('Bearer a-token-of-some-lengti'))).status).toBe(401);
    expect((await server.ask('/v1/status', as(`Bearer ${TOKEN}`))).status).toBe(200);
    expect((await server.ask('/v1/nothing', as(''))).status).toBe(401);
    expect((await server.ask('/healthz', as(''))).status).toBe(200);
  });
});
