// SPDX-License-Identifier: Apache-2.0
//
// A whole server beside a stand-in for the API server (testing/kubernetes.ts). No Kubernetes runs here.
import { expect, it, vi } from 'vitest';
import { cellwall } from '../testing/cli.js';
import { StandInApi } from '../testing/kubernetes.js';
import { type TestServer, testServer } from '../testing/server.js';

const eventually = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 50 });

const optionsOf = ({ options }: StandInApi) => ({
  kubernetesMode: 'on' as const,
  networkPolicies: 'audit' as const,
  kubernetesApi: options.api,
  kubernetesAccount: options.folder,
});

const pod = (namespace: string, name: string, address: string, ports: object[] = []) => ({
  metadata: { name, namespace, labels: { app: name } },
  spec: { nodeName: 'n', containers: [{ name: 'main', image: 'i', ports }] },
  status: { phase: 'Running', podIPs: [{ ip: address }] },
});
const policy = (spec: object, name = 'db', namespace = 'shop') => ({ metadata: { name, namespace }, spec });
const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } });
const DB = {
  ...app('db'),
  policyTypes: ['Ingress'],
  ingress: [
    { from: [app('web')], ports: [{ protocol: 'TCP', port: 'sql' }] },
    {
      from: [{ namespaceSelector: { matchLabels: { team: 'ops' } }, ...app('scraper') }],
      ports: [{ port: 9000, endPort: 9010 }],
    },
    { from: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.128/25'] } }] },
  ],
};

async function cluster(): Promise<StandInApi> {
  const api = await StandInApi.start();
  api.put('namespaces', { metadata: { name: 'shop' } });
  api.put('namespaces', { metadata: { name: 'ops', labels: { team: 'ops' } } });
  api.put('nodes', { metadata: { name: 'n' } });
  api.put('pods', pod('shop', 'db', '10.1.0.9', [{ name: 'sql', containerPort: 5432 }]));
  api.put('pods', pod('shop', 'web', '10.1.0.8'));
  api.put('pods', pod('shop', 'other', '10.1.0.7'));
  api.put('pods', pod('ops', 'scraper', '10.1.1.1'));
  return api;
}

async function verdict(server: TestServer, from: string, to: string, port: number) {
  const { body } = await server.ask(
    `/v1/explain?${new URLSearchParams({ from, to, port: String(port), protocol: 'tcp' })}`,
  );
  type End = { verdict: string; policy: string | null };
  const [first] = (body as { explained?: { verdict: string; ends: End[] }[] }).explained ?? [];
  const said = first?.ends.find((it) => it.verdict === first.verdict && it.policy !== null);
  return first && `${first.verdict} ${said?.policy ?? '-'}`;
}
const toDb = (server: TestServer, from: string, port: number) => verdict(server, from, 'shop/db/main', port);

async function stored(server: TestServer) {
  const { body } = await server.ask('/v1/policies');
  return (body as { policies: { key: string }[] }).policies.map(({ key }) => key);
}
const statusOf = async (server: TestServer) =>
  ((await server.ask('/v1/status')).body as { kubernetes: { problems: string[]; networkPolicies: object } }).kubernetes;

it('judges by a NetworkPolicy and refuses nothing: ports by name and range, namespaces by labels, networks with exceptions', async () => {
  const api = await cluster();
  const server = await testServer(undefined, optionsOf(api));
  api.put('networkpolicies', policy(DB));
  await eventually(async () => expect(await toDb(server, 'shop/other/main', 5432)).toBe('audit networkpolicy:shop/db'));
  expect(await toDb(server, 'shop/web/main', 5432)).toBe('allowed networkpolicy:shop/db');
  expect(await toDb(server, 'shop/web/main', 5433)).toBe('audit networkpolicy:shop/db');
  expect(await toDb(server, 'ops/scraper/main', 9010)).toBe('allowed networkpolicy:shop/db');
  expect(await toDb(server, 'ops/scraper/main', 9011)).toBe('audit networkpolicy:shop/db');
  // Only the direction that it names.
  expect(await verdict(server, 'shop/db/main', '203.0.113.1', 443)).toMatch(/^allowed/);
  const { policies } = (await server.ask('/v1/policies')).body as { policies: { document: { spec: object } }[] };
  expect(policies[0]?.document.spec).toMatchObject({
    isolate: ['Ingress'],
    ingress: [{}, {}, { from: [{ networks: ['192.0.2.0/24'], except: ['192.0.2.128/25'] }] }],
  });
  // Labels of a namespace change what a selector means.
  api.put('namespaces', { metadata: { name: 'ops', labels: {} } });
  await eventually(async () => expect(await toDb(server, 'ops/scraper/main', 9010)).toMatch(/^audit/));
  api.put('namespaces', { metadata: { name: 'new', labels: { team: 'ops' } } });
  api.put('pods', pod('new', 'scraper', '10.1.1.2'));
  await eventually(async () => expect(await toDb(server, 'new/scraper/main', 9000)).toMatch(/^allowed/));
});

it('opens its own end alone, as Kubernetes does, where a ContainerPolicy would open both', async () => {
  const api = await cluster();
  const server = await testServer(undefined, optionsOf(api));
  api.put('networkpolicies', policy({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] }, 'default'));
  api.put('networkpolicies', policy({ ...app('web'), policyTypes: ['Egress'], egress: [{ to: [app('db')] }] }, 'web'));
  await eventually(async () => expect((await stored(server)).length).toBe(2));
  expect(await toDb(server, 'shop/web/main', 5432)).toBe('audit networkpolicy:shop/default');
  api.put('networkpolicies', policy({ ...app('db'), ingress: [{ from: [app('web')] }] }));
  await eventually(async () => expect(await toDb(server, 'shop/web/main', 5432)).toMatch(/^allowed/));
});

it('shows where it is from, and cannot be changed here', async () => {
  const api = await cluster();
  const server = await testServer(undefined, optionsOf(api));
  api.put('networkpolicies', policy(DB));
  const path = '/v1/policies/shop/db?kind=NetworkPolicy';
  await eventually(async () => expect((await server.ask(path)).status).toBe(200));
  const { body } = await server.ask(path);
  expect(body).toMatchObject({
    key: 'networkpolicy:shop/db',
    kind: 'NetworkPolicy',
    mode: 'Audit',
    keptIn: 'kubernetes',
  });
  const { text } = body as { text: string };
  expect(text).toMatch(/^# NetworkPolicy shop\/db of Kubernetes, in mode Audit. .*kubectl/);
  const refused = { status: 409, body: { error: { message: expect.stringContaining('kubectl') } } };
  expect(await server.ask(path, { method: 'DELETE' })).toMatchObject(refused);
  const enforced = text.replace('mode: Audit', 'mode: Enforce');
  expect(await server.ask('/v1/policies', { method: 'PUT', body: enforced })).toMatchObject(refused);
  const mine =
    'apiVersion: cellwall.dev/v1alpha1\nkind: ContainerPolicy\nmetadata: {name: db, namespace: shop}\nspec: {}\n';
  const listed = await cellwall(server.httpAddress, 'policy', 'get');
  expect(listed.stdout).toMatch(/networkpolicy:shop\/db +Audit +3 +- +kubernetes NetworkPolicy +1 /);
  expect((await cellwall(server.httpAddress, 'policy', 'get', 'networkpolicy:shop/db')).stdout).toBe(text);
  const deleted = await cellwall(server.httpAddress, 'policy', 'delete', 'networkpolicy:shop/db');
  expect(deleted).toMatchObject({ code: expect.any(Number), stderr: expect.stringContaining('kubectl') });
  // One of ours may have the same name.
  expect((await server.ask('/v1/policies', { method: 'PUT', body: mine })).status).toBe(200);
  expect(await stored(server)).toEqual(['networkpolicy:shop/db', 'shop/db']);
});

it('follows changes and deletions, also those that it missed, and keeps all while nobody answers', async () => {
  const api = await cluster();
  api.put('networkpolicies', policy(DB));
  api.put('networkpolicies', policy(DB, 'gone'));
  const first = await testServer(undefined, optionsOf(api));
  await eventually(async () => expect((await stored(first)).length).toBe(2));
  api.remove('networkpolicies', 'shop', 'gone');
  await eventually(async () => expect(await stored(first)).toEqual(['networkpolicy:shop/db']));
  api.put('networkpolicies', policy({ ...DB, ingress: [{}] }));
  await eventually(async () => expect(await toDb(first, 'shop/other/main', 5432)).toMatch(/^allowed/));
  api.put('networkpolicies', policy(DB, 'missed'));
  await eventually(async () => expect((await stored(first)).length).toBe(2));
  await first.close();
  await api.stop();
  const second = await testServer(first.folder, optionsOf(api));
  await eventually(async () => expect((await statusOf(second)).problems.length).toBeGreaterThan(0));
  expect((await stored(second)).length).toBe(2);
  await api.startAgain();
  await eventually(() => expect(api.watching('networkpolicies')).toBe(1));
  await api.stop();
  api.remove('networkpolicies', 'shop', 'missed');
  api.compact();
  await api.startAgain();
  await eventually(async () => expect(await stored(second)).toEqual(['networkpolicy:shop/db']));
});

it('tells by an event what it cannot say, once, and keeps the version before', async () => {
  const api = await cluster();
  api.put('networkpolicies', policy(DB));
  const first = await testServer(undefined, optionsOf(api));
  await eventually(async () => expect(await stored(first)).toEqual(['networkpolicy:shop/db']));
  api.put('networkpolicies', policy({ ...DB, ingress: [{ from: [{ ipBlock: { cidr: '192.0.2.0/99' } }] }] }));
  const sctp = { ...app('web'), ingress: [{ ports: [{ protocol: 'SCTP', port: 5 }] }] };
  api.put('networkpolicies', policy(sctp, 'web'));
  const told = () => api.events.map(({ reason, involvedObject }) => `${involvedObject.name} ${reason}`).sort();
  await eventually(() => expect(told()).toEqual(['db Invalid', 'web Incomplete']));
  expect(api.events.find(({ reason }) => reason === 'Invalid')?.message).toContain('192.0.2.0/99');
  expect(api.events.find(({ reason }) => reason === 'Incomplete')?.message).toContain('ingress-1: SCTP');
  expect((await statusOf(first)).networkPolicies).toMatchObject({ read: 2, refused: 1, incomplete: 1, events: 2 });
  expect(await toDb(first, 'shop/web/main', 5432)).toMatch(/^allowed/);
  await first.close();
  const second = await testServer(first.folder, optionsOf(api));
  const posted = () => api.asked.filter((it) => it.startsWith('POST')).length;
  await eventually(() => expect(posted()).toBe(4));
  expect(told()).toEqual(['db Invalid', 'web Incomplete']);
  await second.close();
});

it('names the rights that are missing, and all else goes on', async () => {
  const api = await cluster();
  for (const it of ['networkpolicies', 'events']) api.forbidden.add(it);
  const server = await testServer(undefined, optionsOf(api));
  api.put('containerpolicies', policy({ subject: { containers: ['main'] } }, 'ours'));
  await eventually(async () => expect(await stored(server)).toEqual(['shop/ours']));
  await eventually(async () =>
    expect((await statusOf(server)).problems.join('\n')).toMatch(
      /list and watch on networkpolicies of API group "networking.k8s.io"/,
    ),
  );
  api.put('networkpolicies', policy({ ...app('web'), ingress: [{ ports: [{ protocol: 'SCTP' }] }] }, 'web'));
  api.forbidden.delete('networkpolicies');
  await eventually(async () => expect(await stored(server)).toEqual(['networkpolicy:shop/web', 'shop/ours']));
  await eventually(async () =>
    expect((await statusOf(server)).problems.join('\n')).toMatch(/missing RBAC: .*create on events/),
  );
});

it('off: asks for none, and drops those that were read before', async () => {
  const api = await cluster();
  api.put('networkpolicies', policy(DB));
  const first = await testServer(undefined, optionsOf(api));
  await eventually(async () => expect(await stored(first)).toEqual(['networkpolicy:shop/db']));
  await first.close();
  api.asked.length = 0;
  const second = await testServer(first.folder, { ...optionsOf(api), networkPolicies: 'off' });
  await eventually(async () => expect(await stored(second)).toEqual([]));
  await eventually(() => expect(api.watching('pods')).toBe(1));
  expect(api.asked.filter((it) => it.includes('networkpolicies'))).toEqual([]);
});
