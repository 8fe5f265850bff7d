// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { v1 } from '../ingest/wire.js';
import type { TestAgent } from '../testing/agent.js';
import { type TestServer, testServer } from '../testing/server.js';
import { BATCH_MS } from './rollout.js';

const HEAD = 'apiVersion: cellwall.dev/v1alpha1\nmetadata: {name: a, namespace: shop}';
const POLICY = `${HEAD}\nkind: ContainerPolicy\nspec: {egress: [{name: db, action: Deny}]}\n`;
const observation = (spec: string) => `${HEAD}\nkind: ContainerObservation\nspec: {${spec}}\n`;

async function apply(server: TestServer, body: string, query = ''): Promise<number> {
  const answer = await server.ask(`/v1/policies?${query}`, { method: 'PUT', body });
  expect(answer.status).toBe(200);
  return (answer.body as { generation: number }).generation;
}

async function ruleSetsOf(agent: TestAgent) {
  const { generation, payload } = await agent.next('ruleSets');
  const sets = v1.RuleSets.decode(payload as Uint8Array);
  return { generation, names: sets.policies.map((it) => it.name), ruleSets: sets.ruleSets, selectors: sets.policies };
}

async function connected(server: TestServer): Promise<TestAgent> {
  const agent = server.agent();
  await agent.hello('n');
  return agent;
}

it('sends observations behind the policies, as a new generation with the same rule sets', async () => {
  const server = await testServer();
  const agent = await connected(server);
  agent.send({ containers: { complete: true, upserted: [{ cgroupId: 7, namespace: 'shop', pod: 'web', name: 'x' }] } });
  await apply(server, POLICY);
  const before = await ruleSetsOf(agent);
  expect(await apply(server, observation('names: true'))).toBe(2);
  const after = await ruleSetsOf(agent);
  expect(after).toMatchObject({ generation: 2, names: ['shop/a', 'observation:shop/a'] });
  expect(after.selectors.map((it) => it.observeNames)).toEqual([false, true]);
  expect(after.ruleSets).toEqual(before.ruleSets);
});

it('counts a generation when an observation changes or goes, none when it stays or in a dry run', async () => {
  const server = await testServer();
  const agent = await connected(server);
  expect(await apply(server, observation('names: true'))).toBe(1);
  expect(await ruleSetsOf(agent)).toMatchObject({ names: ['observation:shop/a'], ruleSets: [] });
  expect(await apply(server, observation('names: true'))).toBe(1);
  expect(await apply(server, observation('payload: true'), 'dryRun=true')).toBe(1);
  expect(await apply(server, observation('payload: true'))).toBe(2);
  expect((await ruleSetsOf(agent)).selectors).toMatchObject([{ observeNames: false, observePayload: true }]);
  await server.ask('/v1/policies/shop/a?kind=ContainerObservation', { method: 'DELETE' });
  expect(await ruleSetsOf(agent)).toMatchObject({ generation: 3, names: [] });
});

it('tells of containers that come in crowds once in a while', async () => {
  const server = await testServer();
  const [agent, watching] = [server.agent(), server.agent()];
  await agent.hello('n');
  await watching.hello('m');
  await apply(server, POLICY);
  await watching.next('ruleSets');
  const web = (cgroupId: number) => ({
    cgroupId,
    namespace: 'shop',
    pod: `web-${cgroupId}`,
    name: 'x',
    addresses: [`10.0.0.${cgroupId}`],
  });
  const beganMs = performance.now();
  for (let cgroup = 1; cgroup <= 50; cgroup++) {
    agent.send({ containers: { upserted: [web(cgroup)] } });
    await sleep(2);
  }
  const sizes: number[] = [];
  while (sizes.reduce((sum, size) => sum + size, 0) < 50) {
    const { amendment } = await watching.nextOf('amendment', 'ruleSets');
    sizes.push(amendment?.addresses?.length ?? 0);
  }
  // However long that took.
  expect(sizes.length).toBeLessThanOrEqual((performance.now() - beganMs) / BATCH_MS + 2);
});

it('has policies and observations again after a restart', async () => {
  const first = await testServer();
  await apply(first, `${POLICY}---\n${observation('names: true')}`);
  await first.close();
  const second = await testServer(first.folder);
  const agent = await connected(second);
  expect(await ruleSetsOf(agent)).toMatchObject({ generation: 1, names: ['shop/a', 'observation:shop/a'] });
});
