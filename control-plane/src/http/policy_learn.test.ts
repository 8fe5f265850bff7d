// SPDX-License-Identifier: Apache-2.0
//
// Learning over HTTP and from the command line.
import { expect, it } from 'vitest';
import { parseDocuments } from '../policy/index.js';
import { batchOf } from '../testing/batches.js';
import { cellwall } from '../testing/cli.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const NOW = Date.now() * 1000;
const container = (cgroupId: number, pod: string, name: string, last: number, namespace = 'shop') => ({
  cgroupId,
  namespace,
  pod,
  name,
  labels: { app: pod },
  addresses: [`10.1.0.${last}`],
});

async function shop(): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const upserted = [
    container(7, 'web', 'nginx', 7),
    container(8, 'web', 'sidecar', 7),
    container(9, 'db', 'postgres', 9),
    container(10, 'other', 'main', 10, 'pay'),
  ];
  agent.send({ containers: { complete: true, upserted } });
  const to = (cgroup: number, last: number, remotePort: number, more = {}) =>
    Array.from({ length: 3 }, () => ({ cgroup, endUs: NOW - 1e6, remote: [10, 1, 0, last], remotePort, ...more }));
  agent.sendBatch(batchOf(1, 1, [...to(7, 9, 5432), ...to(8, 9, 5433, { verdict: 2, end: 2 }), ...to(10, 9, 5432)]));
  await agent.acknowledged(1);
  return server;
}

it('writes policies that anyone who may view can read, and that the server takes', async () => {
  const server = await shop();
  const { headers } = await tokenOf(server, 'view');
  const { status, body } = await server.ask('/v1/policies/learn?namespace=shop&since=1h&mode=Enforce', { headers });
  expect(status).toBe(200);
  expect(body).toMatchObject({
    coverage: { lost: 0, gaps: 0, wrongClock: 0, silentNodes: [] },
    policies: [
      { key: 'shop/web-nginx', replaces: false, rules: 1, flows: 3, unseen: 0 },
      { key: 'shop/web-sidecar', rules: 0 },
    ],
    apart: [{ container: 'shop/web/sidecar', peer: 'shop/db/postgres', port: 5433, reason: 'denied', flows: 3 }],
    conflicts: [],
  });
  const { yaml } = body as { yaml: string };
  expect(parseDocuments(yaml, 'learned').problems).toEqual([]);
  const applied = await server.ask('/v1/policies?dryRun=true', { method: 'PUT', body: yaml });
  expect(applied).toMatchObject({
    status: 200,
    body: { effect: { refused: 3, lines: [{ container: 'shop/web/sidecar' }] } },
  });
});

it('refuses times that are none, and options out of bounds, with a word', async () => {
  const server = await testServer();
  const refused = async (query: string) => (await server.ask(`/v1/policies/learn?${query}`)).body;
  expect(await refused('since=1h&until=2h')).toMatchObject({
    error: { code: 'invalid_filter', message: 'since 1h is not before until 2h' },
  });
  expect(await refused('since=yesterday')).toMatchObject({
    error: { message: expect.stringContaining('is not a time') },
  });
  expect(await refused('networks=0')).toMatchObject({ error: { message: expect.stringContaining('networks') } });
});

it('the command line prints the YAML alone, and says what is to be known of it', async () => {
  const server = await shop();
  const learn = (...args: string[]) => cellwall(server.httpAddress, 'policy', 'learn', '--since', '1h', ...args);
  const done = await learn('--namespace', 'shop', '--mode', 'enforce');
  expect(done.code).toBe(0);
  expect(parseDocuments(done.stdout, 'stdout')).toMatchObject({ problems: [], policies: [{ mode: 'Enforce' }, {}] });
  expect(done.stdout).toMatch(/# {3}shop\/web\/sidecar to shop\/db\/postgres tcp\/5433: 3 flows, at .*: was refused\n/);
  expect(done.stderr).toBe(
    '2 policies with 1 rule\n1 listed apart, at the end: no rule accepts these, judge them by hand\n',
  );
  const again = await learn('--namespace', 'shop', '--mode', 'enforce', '-o', 'json');
  expect(JSON.parse(again.stdout)).toMatchObject({ policies: [{}, {}], apart: [{}] });
  expect(await learn('--namespace', 'nowhere')).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('no container of nowhere'),
  });
});

it('an empty history has a clear answer', async () => {
  const server = await testServer();
  const done = await cellwall(server.httpAddress, 'policy', 'learn', '--since', '1h');
  expect(done).toMatchObject({ code: 4, stdout: expect.stringContaining('# Nothing is on record for that time.') });
  expect(done.stderr).toContain("nothing is on record since 1h: see 'cellwall status'");
});
