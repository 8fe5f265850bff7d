// SPDX-License-Identifier: Apache-2.0
//
// What containers belong to, with a whole server beside a stand-in for the API server (testing/kubernetes.ts).
import { expect, it, vi } from 'vitest';
import { StandInApi } from '../testing/kubernetes.js';
import { type TestServer, testServer } from '../testing/server.js';

const eventually = (check: () => void | Promise<void>) => vi.waitFor(check, { timeout: 20_000, interval: 50 });
const optionsOf = ({ options }: StandInApi) => ({
  kubernetesMode: 'on' as const,
  kubernetesApi: options.api,
  kubernetesAccount: options.folder,
});

const owned = (name: string, kind: string, owner: string, more: object = {}) => ({
  metadata: { name, namespace: 'shop', ownerReferences: [{ kind, name: owner, controller: true }], ...more },
});
const labels = { 'pod-template-hash': '7d4b9c' };
const told = (cgroupId: number, pod: string) => ({ cgroupId, namespace: 'shop', pod, name: 'main', addresses: [] });

async function workloads(server: TestServer): Promise<Record<string, string>> {
  const { body } = await server.ask('/v1/containers?gone=true');
  const { containers } = body as { containers: { pod: string; workload: string }[] };
  return Object.fromEntries(containers.map(({ pod, workload }) => [pod, workload]));
}

it('goes by the chain of owners, whoever tells first, and remembers it when pods and Jobs are gone', async () => {
  const api = await StandInApi.start();
  api.put('jobs', owned('nightly-29038475', 'CronJob', 'nightly'));
  // It had ended before anybody saw its address.
  api.put('pods', { ...owned('nightly-29038475-x2x2x', 'Job', 'nightly-29038475'), status: { phase: 'Succeeded' } });
  const first = await testServer(undefined, optionsOf(api));
  await eventually(() => expect(api.watching('pods') + api.watching('jobs')).toBe(2));
  const agent = first.agent();
  await agent.hello('n', 'boot.1', ['192.0.2.1']);
  const [job, web, plain] = ['nightly-29038475-x2x2x', 'cut-off-x2x2x', 'web-7'];
  const all = [told(1, job), told(2, web), told(3, plain)];
  agent.send({ containers: { complete: true, upserted: all } });
  await eventually(async () =>
    expect(await workloads(first)).toEqual({ [job]: 'nightly', [web]: web, [plain]: plain }),
  );
  api.put('pods', owned(web, 'ReplicaSet', 'cut-off-name-7d4b9c', { labels }));
  const expected = { [job]: 'nightly', [web]: 'cut-off-name', [plain]: plain };
  await eventually(async () => expect(await workloads(first)).toEqual(expected));
  api.remove('jobs', 'shop', 'nightly-29038475');
  api.remove('pods', 'shop', job);
  agent.send({ containers: { complete: true, upserted: [told(2, web), told(3, plain)] } });
  await first.close();
  await api.stop();
  const second = await testServer(first.folder, optionsOf(api));
  expect(await workloads(second)).toEqual(expected);
});

it('asks for the metadata of Jobs alone, and without that right a Job is told by its own name', async () => {
  const api = await StandInApi.start();
  api.forbidden.add('jobs');
  api.put('jobs', { ...owned('run-1', 'CronJob', 'run'), spec: { template: 'large' } });
  const job = { 'job-name': 'run-1' };
  api.put('pods', owned('run-1-x2x2x', 'Job', 'run-1'));
  const server = await testServer(undefined, optionsOf(api));
  const agent = server.agent();
  await agent.hello('n', 'boot.1', ['192.0.2.1']);
  agent.send({ containers: { complete: true, upserted: [{ ...told(1, 'run-1-x2x2x'), labels: job }] } });
  await eventually(async () => expect(await workloads(server)).toEqual({ 'run-1-x2x2x': 'run-1' }));
  await eventually(async () => {
    const { problems } = ((await server.ask('/v1/status')).body as { kubernetes: { problems: string[] } }).kubernetes;
    expect(problems.join('\n')).toContain('list and watch on jobs of API group "batch"');
  });
  api.forbidden.clear();
  await eventually(async () => expect(await workloads(server)).toEqual({ 'run-1-x2x2x': 'run' }));
  expect(api.metadataAsked).toEqual(new Set(['jobs']));
});
