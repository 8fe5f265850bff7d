// SPDX-License-Identifier: Apache-2.0
//
// A whole server and its agents, beside a stand-in for the API server (testing/kubernetes.ts). No Kubernetes runs here.
import { expect, it, vi } from 'vitest';
import { v1 } from '../ingest/wire.js';
import { StandInApi } from '../testing/kubernetes.js';
import { type TestServer, testServer } from '../testing/server.js';
import type { PolicyStatus } from './conditions.js';

const eventually = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 50 });

const optionsOf = ({ options }: StandInApi) => ({
  kubernetesMode: 'on' as const,
  kubernetesApi: options.api,
  kubernetesAccount: options.folder,
});

const policy = (name: string, spec: object) => ({ metadata: { name, namespace: 'shop' }, spec });
const ACCEPT_DB = {
  subject: { containers: ['nginx'] },
  mode: 'Enforce',
  egress: [
    {
      name: 'db',
      action: 'Accept',
      to: [{ services: [{ name: 'db' }] }],
      protocols: [{ tcp: { destinationPort: { name: 'sql' } } }],
    },
  ],
};

function shop(api: StandInApi): void {
  for (const name of ['shop', 'kube-system']) api.put('namespaces', { metadata: { name } });
  api.put('nodes', { metadata: { name: 'n' }, status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] } });
  api.put('pods', {
    metadata: { name: 'db-0', namespace: 'shop', labels: { app: 'db' } },
    spec: {
      nodeName: 'n',
      containers: [{ name: 'sqlserver', image: 'db:1', ports: [{ name: 'sql', containerPort: 1433 }] }],
    },
    status: { phase: 'Running', podIPs: [{ ip: '10.1.0.9' }] },
  });
  api.put('services', {
    metadata: { name: 'db', namespace: 'shop' },
    spec: { clusterIPs: ['10.96.0.5'], ports: [{ name: 'sql', port: 5432, targetPort: 'sql' }] },
  });
  const slice = {
    metadata: { name: 'db-x', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'db' } },
    ports: [{ name: 'sql', port: 1433, protocol: 'TCP' }],
    endpoints: [{ addresses: ['10.1.0.9'] }],
  };
  api.put('endpointslices', slice);
  api.put('services', {
    metadata: { name: 'kube-dns', namespace: 'kube-system' },
    spec: { clusterIPs: ['10.96.0.10'], ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] },
  });
}

async function explained(server: TestServer, address: string, port: number, protocol = 'tcp') {
  const query = new URLSearchParams({ from: 'shop/web/nginx', to: address, port: String(port), protocol });
  const { body } = await server.ask(`/v1/explain?${query}`);
  return (body as { explained?: { verdict: string }[] }).explained?.[0]?.verdict;
}

async function withWeb(server: TestServer) {
  const agent = server.agent();
  await agent.hello('n', 'boot.1', ['192.0.2.1']);
  const web = { cgroupId: 7, namespace: 'shop', pod: 'web', name: 'nginx', addresses: ['10.1.0.8'] };
  agent.send({ containers: { complete: true, upserted: [web] } });
  return agent;
}

const statusOf = (api: StandInApi, name: string) =>
  (api.get('containerpolicies', 'shop', name)?.status ?? {}) as Partial<PolicyStatus>;
const conditionOf = (api: StandInApi, name: string, type: string) =>
  statusOf(api, name).conditions?.find((it) => it.type === type);

it('takes policies, services, pods and named ports from Kubernetes, and tells when the node enforces', async () => {
  const api = await StandInApi.start();
  shop(api);
  const server = await testServer(undefined, optionsOf(api));
  const agent = await withWeb(server);
  api.put('containerpolicies', policy('web', ACCEPT_DB));
  await eventually(() =>
    expect(conditionOf(api, 'web', 'Accepted')).toMatchObject({ status: 'True', observedGeneration: 1 }),
  );
  expect(conditionOf(api, 'web', 'Enforced')).toMatchObject({ status: 'False', reason: 'Pending' });
  const { generation, payload } = await agent.next('ruleSets');
  expect(v1.RuleSets.decode(payload as Uint8Array).policies.map((it) => it.name)).toContain('shop/web');
  agent.send({ applied: { generation: generation as number } });
  await eventually(() =>
    expect(conditionOf(api, 'web', 'Enforced')).toMatchObject({ status: 'True', reason: 'AllNodes' }),
  );
  expect(statusOf(api, 'web').nodes).toEqual({ desired: 1, enforcing: 1, summary: '1/1' });
  await eventually(async () => expect(await explained(server, '10.96.0.5', 5432)).toBe('allowed'));
  expect(await explained(server, '10.96.0.5', 80)).toBe('denied');
  expect(await explained(server, '10.1.0.9', 1433)).toBe('allowed');
  expect(await explained(server, '10.1.0.77', 1433)).toBe('denied');
  // The resolvers of the cluster were found among its services.
  expect(await explained(server, '10.96.0.10', 53, 'udp')).toBe('allowed');
});

it('refuses a bad object with a condition and an event, and the version before stays in force', async () => {
  const api = await StandInApi.start();
  shop(api);
  const server = await testServer(undefined, optionsOf(api));
  api.put('containerpolicies', policy('web', ACCEPT_DB));
  await eventually(() => expect(conditionOf(api, 'web', 'Accepted')?.status).toBe('True'));
  const [rule] = ACCEPT_DB.egress;
  const misspelt = {
    ...ACCEPT_DB,
    subjct: {},
    egress: [{ ...rule, to: [{ containers: { podz: {} } }], protocls: [] }],
  };
  api.put('containerpolicies', policy('web', misspelt));
  await eventually(() =>
    expect(conditionOf(api, 'web', 'Accepted')).toMatchObject({
      status: 'False',
      reason: 'Invalid',
      observedGeneration: 2,
    }),
  );
  expect(conditionOf(api, 'web', 'Accepted')?.message.split('\n').sort()).toEqual([
    'spec.egress[0].protocls: unknown field "protocls"; did you mean "protocols"?',
    'spec.egress[0].to[0].containers.podz: unknown field "podz"; did you mean "pods"?',
    'spec.subjct: unknown field "subjct"; did you mean "subject"?',
  ]);
  expect(conditionOf(api, 'web', 'Enforced')?.message).toContain('version before');
  await eventually(() =>
    expect(api.events.map(({ reason, involvedObject }) => [reason, involvedObject.name])).toEqual([['Invalid', 'web']]),
  );
  const { body } = await server.ask('/v1/policies/shop/web');
  expect(body).toMatchObject({ keptIn: 'kubernetes', document: { spec: ACCEPT_DB } });
});

it('deletes what was deleted, and leaves alone what the command line has applied', async () => {
  const api = await StandInApi.start();
  shop(api);
  const server = await testServer(undefined, optionsOf(api));
  const body =
    'apiVersion: cellwall.dev/v1alpha1\nkind: ContainerPolicy\nmetadata: {name: mine, namespace: shop}\nspec: {}\n';
  expect((await server.ask('/v1/policies', { method: 'PUT', body })).status).toBe(200);
  api.put('containerpolicies', policy('mine', ACCEPT_DB));
  api.put('containerpolicies', policy('web', ACCEPT_DB));
  await eventually(() =>
    expect(conditionOf(api, 'mine', 'Accepted')).toMatchObject({ status: 'False', reason: 'Conflict' }),
  );
  await eventually(() => expect(conditionOf(api, 'web', 'Accepted')?.status).toBe('True'));
  const refused = await server.ask('/v1/policies/shop/web', { method: 'DELETE' });
  expect(refused).toMatchObject({ status: 409, body: { error: { message: expect.stringContaining('kubectl') } } });
  api.remove('containerpolicies', 'shop', 'web');
  await eventually(async () => expect((await server.ask('/v1/policies/shop/web')).status).toBe(404));
  expect((await server.ask('/v1/policies/shop/mine')).status).toBe(200);
  // Deleted there, it is the one of Kubernetes that counts.
  expect((await server.ask('/v1/policies/shop/mine', { method: 'DELETE' })).status).toBe(200);
  await eventually(() => expect(conditionOf(api, 'mine', 'Accepted')?.status).toBe('True'));
});

it('means the same by its policies after a restart without the API server, and deletes nothing', async () => {
  const api = await StandInApi.start();
  shop(api);
  const first = await testServer(undefined, optionsOf(api));
  await withWeb(first);
  api.put('containerpolicies', policy('web', ACCEPT_DB));
  await eventually(async () => expect(await explained(first, '10.96.0.5', 5432)).toBe('allowed'));
  const generation = ((await first.ask('/v1/status')).body as { generation: number }).generation;
  await first.close();
  await api.stop();
  const second = await testServer(first.folder, optionsOf(api));
  expect(await explained(second, '10.96.0.5', 5432)).toBe('allowed');
  expect(await explained(second, '10.96.0.5', 80)).toBe('denied');
  await eventually(async () => {
    const { body } = await second.ask('/v1/status');
    expect(body).toMatchObject({
      generation,
      kubernetes: {
        collections: expect.arrayContaining([expect.objectContaining({ resource: 'pods', state: 'unreachable' })]),
      },
    });
  });
  api.remove('containerpolicies', 'shop', 'web');
  await api.startAgain();
  await eventually(async () => expect((await second.ask('/v1/policies/shop/web')).status).toBe(404));
});

it('says by name which rights are missing, and goes on without them', async () => {
  const api = await StandInApi.start();
  shop(api);
  for (const it of ['endpointslices', 'containerpolicies/status']) api.forbidden.add(it);
  const server = await testServer(undefined, optionsOf(api));
  api.put('containerpolicies', policy('web', ACCEPT_DB));
  await eventually(async () => {
    const { body } = await server.ask('/v1/status');
    const { problems } = (body as { kubernetes: { problems: string[] } }).kubernetes;
    expect(problems.join('\n')).toMatch(/list and watch on endpointslices of API group "discovery.k8s.io"/);
    expect(problems.join('\n')).toMatch(/patch on containerpolicies\/status/);
  });
  expect((await server.ask('/v1/policies/shop/web')).status).toBe(200);
});

it('says of an accepted policy that it selects nothing, or names a namespace that is not there', async () => {
  const api = await StandInApi.start();
  shop(api);
  await testServer(undefined, optionsOf(api));
  api.put('containerpolicies', policy('idle', { subject: { containers: ['nobody'] } }));
  api.put('clustercontainerpolicies', {
    metadata: { name: 'far' },
    spec: { subject: { namespaces: { names: ['shpo'] } } },
  });
  await eventually(() => expect(conditionOf(api, 'idle', 'Accepted')?.message).toContain('selects no container'));
  await eventually(() => {
    const { status } = api.get('clustercontainerpolicies', '', 'far') ?? {};
    expect((status as PolicyStatus | undefined)?.conditions[0]?.message).toContain('no namespace shpo');
  });
});
