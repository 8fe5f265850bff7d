// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { v1 } from '../ingest/wire.js';
import type { TestAgent } from '../testing/agent.js';
import { testServer } from '../testing/server.js';

const POLICY = `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: db, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: db}}}
  ingress:
  - name: nginx
    action: Accept
    from: [{containers: {names: [nginx]}}]
    protocols: [{tcp: {destinationPort: {number: 5432}}}]
`;

const container = (cgroupId: number, pod: string, name: string, address: string) => ({
  cgroupId,
  namespace: 'shop',
  pod,
  name,
  labels: { app: pod },
  addresses: [address],
});

async function prepared() {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  agent.send({
    containers: {
      complete: true,
      upserted: [
        container(7, 'web', 'nginx', '10.1.0.7'),
        container(8, 'web', 'malware', '10.1.0.7'),
        container(9, 'db', 'postgres', '10.1.0.9'),
      ],
    },
  });
  const { body } = await server.ask('/v1/policies', { method: 'PUT', body: POLICY });
  expect(body).toMatchObject({ generation: 1 });
  return { server, agent };
}

/** Answers each question with this verdict. */
async function answering(agent: TestAgent, verdict: number, rule: number): Promise<void> {
  for (;;) {
    const { id, cgroupId, address } = await agent.next('question');
    expect(address?.length).toBe(16);
    expect([7, 8, 9]).toContain(Number(cgroupId));
    agent.send({ answer: { id: id ?? 0, verdict, rule, generation: 1 } });
  }
}

describe('explain', () => {
  it('says what both ends decide, and whether the kernels agree', async () => {
    const { server, agent } = await prepared();
    void answering(agent, v1.Verdict.VERDICT_DENIED, 16);
    const ask = (from: string) => server.ask(`/v1/explain?from=${from}&to=shop/db/postgres&port=5432`);
    const denied = await ask('shop/web/malware');
    expect(denied.body).toMatchObject({
      generation: 1,
      explained: [
        {
          from: 'shop/web/malware',
          to: 'shop/db/postgres',
          verdict: 'denied',
          ends: [
            { direction: 'egress', verdict: 'denied', policy: 'shop/db', kernel: { verdict: 'denied', agrees: true } },
            { direction: 'ingress', verdict: 'allowed', kernel: { agrees: false } },
          ],
        },
      ],
    });
    expect((await ask('shop/web/nginx')).body).toMatchObject({ explained: [{ verdict: 'allowed' }] });
    expect((await ask('shop/web/nobody')).status).toBe(404);
  });
});

describe('the description of a policy', () => {
  it('has whom it selects, what each node enforces, and every rule', async () => {
    const { server, agent } = await prepared();
    const { digest } = await agent.next('ruleSets');
    agent.send({ applied: { generation: 1, digest: digest ?? null } });
    const description = async () => (await server.ask('/v1/policies/shop/db/description')).body as { nodes: object[] };
    await expect.poll(async () => (await description()).nodes[0]).toMatchObject({ name: 'n', applied: 1, wanted: 1 });
    expect(await description()).toMatchObject({
      selects: [{ node: 'n', name: 'shop/db/postgres' }],
      nodes: [{ containers: 1, compiled: { ruleSets: 1 } }],
      rules: [{ direction: 'ingress', name: 'nginx', action: 'Accept', allowed: 0, denied: 0, lastUsed: null }],
    });
    expect((await server.ask('/v1/policies/shop/other/description')).status).toBe(404);
  });
});
