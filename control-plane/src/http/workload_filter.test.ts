// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { batchOf } from '../testing/batches.js';
import { cellwall } from '../testing/cli.js';
import { shared, testServer } from '../testing/server.js';

const NOW = Date.now() * 1000;

/** Pods as controllers of Kubernetes name and label them. */
const PODS = [
  { pod: 'web-84bbdc4fb6-4rtfc', labels: { 'pod-template-hash': '84bbdc4fb6' } },
  { pod: 'web-84bbdc4fb6-6mp24', labels: { 'pod-template-hash': '84bbdc4fb6' } },
  { pod: 'web-0', labels: { 'statefulset.kubernetes.io/pod-name': 'web-0', 'controller-revision-hash': 'web-5cb' } },
  { pod: 'probe-dzgf4', labels: { 'controller-revision-hash': '6d9' } },
  { pod: 'import-62cnv', labels: { 'batch.kubernetes.io/job-name': 'import' } },
  { pod: 'web', labels: {} },
] as const;

async function clusterServer() {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const upserted = PODS.map((it, index) => ({
    ...{ cgroupId: index + 1, namespace: 'shop', name: 'nginx', createdUs: NOW - 3600e6 },
    ...{ pod: it.pod, labels: it.labels },
  }));
  agent.send({ containers: { complete: true, upserted } });
  agent.sendBatch(
    batchOf(
      1,
      1,
      PODS.map((_, index) => ({ cgroup: index + 1, endUs: NOW - 1e6 })),
    ),
  );
  await agent.acknowledged(1);
  return server;
}

describe('flows by what pods belong to', () => {
  const cluster = shared(clusterServer);

  it.each([
    ['web', ['web', 'web-0', 'web-84bbdc4fb6-4rtfc', 'web-84bbdc4fb6-6mp24']],
    ['deploy/web', ['web-84bbdc4fb6-4rtfc', 'web-84bbdc4fb6-6mp24']],
    ['Deployment/w*', ['web-84bbdc4fb6-4rtfc', 'web-84bbdc4fb6-6mp24']],
    ['sts/web', ['web-0']],
    ['ds/probe', ['probe-dzgf4']],
    ['job/import', ['import-62cnv']],
    ['cronjob/import', []],
    ['pod/web', ['web']],
    ['pods/web-*', ['web-0', 'web-84bbdc4fb6-4rtfc', 'web-84bbdc4fb6-6mp24']],
  ])('%s', async (workload, pods) => {
    const { body } = await (await cluster()).ask(`/v1/flows?workload=${encodeURIComponent(workload)}`);
    const { flows } = body as { flows: { container: { pod: string } }[] };
    expect(flows.map(({ container }) => container.pod).sort()).toEqual(pods);
  });

  it.each([
    ['service/web', '"service" is none of deployment, statefulset, daemonset, job, cronjob, pod'],
    ['deploy/', 'write NAME or KIND/NAME'],
    ['deploy/web/nginx', 'write NAME or KIND/NAME'],
  ])('refuses %s', async (workload, message) => {
    const { status, body } = await (await cluster()).ask(`/v1/flows?workload=${encodeURIComponent(workload)}`);
    expect([status, body]).toMatchObject([400, { error: { message: expect.stringContaining(message) } }]);
  });

  it('is named as with kubectl', async () => {
    const { httpAddress: http } = await cluster();
    const { stdout } = await cellwall(http, 'flows', 'deploy/web', '-n', 'shop', '-c', 'nginx', '-o', 'json');
    expect((JSON.parse(stdout) as { flows: unknown[] }).flows).toHaveLength(2);
    const twice = await cellwall(http, 'flows', 'deploy/web', '--workload', 'web');
    expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining('name one workload') });
  });
});
