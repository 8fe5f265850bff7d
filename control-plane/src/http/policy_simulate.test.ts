// SPDX-License-Identifier: Apache-2.0
//
// Simulations: of a server, and of an export without one.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Effect } from '../flows/effect.js';
import { batchOf } from '../testing/batches.js';
import { cellwall } from '../testing/cli.js';
import { temporaryFolder } from '../testing/folder.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const NOW = Date.now() * 1000;
const NOWHERE = 'http://127.0.0.1:1';
const policy = (name: string, rules: string) => `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: ${name}, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}, containers: [nginx]}
  egress:
${rules}
`;
const accept = (name: string) =>
  `  - {name: ${name}, action: Accept, to: [{containers: {pods: {matchLabels: {app: ${name}}}}}]}`;
const DENY_DB = '  - {name: no-db, action: Deny, to: [{containers: {pods: {matchLabels: {app: db}}}}]}';

async function shop(): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const of = (cgroupId: number, pod: string, name: string, last: number) => {
    const labels = { app: pod };
    return { cgroupId, namespace: 'shop', pod, name, labels, addresses: [`10.1.0.${last}`] };
  };
  const upserted = [
    of(7, 'web', 'nginx', 7),
    of(8, 'web', 'sidecar', 7),
    of(9, 'db', 'postgres', 9),
    of(10, 'cache', 'redis', 10),
  ];
  agent.send({ containers: { complete: true, upserted } });
  const to = (cgroup: number, last: number, count: number, more = {}) =>
    Array.from({ length: count }, () => ({
      cgroup,
      endUs: NOW - 1e6,
      remote: [10, 1, 0, last],
      remotePort: 5000,
      ...more,
    }));
  agent.sendBatch(batchOf(1, 1, [...to(7, 9, 4), ...to(7, 10, 2), ...to(8, 9, 3), ...to(7, 99, 1)]));
  await agent.acknowledged(1);
  const { status } = await server.ask('/v1/policies', { method: 'PUT', body: policy('old', DENY_DB) });
  expect(status).toBe(200);
  return server;
}

const counts = ({ refused, accepted, unchanged, unknown }: Effect) => [refused, accepted, unchanged, unknown];

it('says what would newly be refused and accepted, the same from an export as from the server', async () => {
  const server = await shop();
  const folder = temporaryFolder();
  const [file, flows] = [join(folder, 'new.yaml'), join(folder, 'flows.jsonl')];
  writeFileSync(file, policy('old', accept('db')));
  const simulate = (to: string, ...args: string[]) => cellwall(to, 'policy', 'simulate', '-f', file, ...args);
  const online = await simulate(server.httpAddress, '--since', '1h', '-o', 'json');
  expect(online).toMatchObject({ code: 1, stderr: 'cellwall: 3 flows would be refused\n' });
  const effect = JSON.parse(online.stdout) as Effect;
  expect(counts(effect)).toEqual([3, 4, 3, 0]);
  expect(effect.lines).toMatchObject([
    { container: 'shop/web/nginx', peer: 'shop/db/postgres', flows: 4, after: 'allowed', rule: 'shop/old:db' },
    { peer: 'shop/cache/redis', flows: 2, after: 'denied', rule: 'shop/old:(default deny)' },
    { peer: '10.1.0.99', flows: 1, after: 'denied', examples: [{ container: 'shop/web/nginx', address: '10.1.0.99' }] },
  ]);

  const exported = await cellwall(server.httpAddress, 'export', '--world', '--since', '1h', '--file', flows);
  expect(exported).toMatchObject({ code: 0, stderr: '10 flows exported\n' });
  const offline = await simulate(NOWHERE, '--from', flows, '-o', 'json');
  expect(offline).toMatchObject({ code: 1, stderr: online.stderr });
  const { since, until, ...same } = JSON.parse(offline.stdout) as Effect;
  expect(effect).toMatchObject(same);
  expect(Date.parse(since)).toBeLessThanOrEqual(Date.parse(until));

  const [world = '', ...lines] = readFileSync(flows, 'utf8').trimEnd().split('\n');
  const older = join(folder, 'older.jsonl');
  const without = ({ pending, count, peer, ...rest }: Record<string, unknown>) => rest;
  writeFileSync(older, [world, ...lines.map((line) => JSON.stringify(without(JSON.parse(line))))].join('\n'));
  expect(await simulate(NOWHERE, '--from', older, '-o', 'json')).toEqual(offline);

  expect(await simulate(NOWHERE, '--from', flows, '--fail-on', 'never')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/3 flows newly refused, 4 flows newly accepted\n/),
  });
  writeFileSync(file, policy('old', DENY_DB));
  expect(await simulate(NOWHERE, '--from', flows, '--fail-on', 'any')).toMatchObject({ code: 0 });
  writeFileSync(file, policy('new', accept('cache').replace('action', 'acton')));
  expect(await simulate(NOWHERE, '--from', flows)).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/new\.yaml was refused; nothing was simulated\n {2}.*new\.yaml:8:/),
  });
});

it('says what is missing when a file is no export that can be simulated', async () => {
  const server = await shop();
  const folder = temporaryFolder();
  const [file, flows] = [join(folder, 'new.yaml'), join(folder, 'flows.jsonl')];
  writeFileSync(file, policy('old', accept('db')));
  const from = async (text: string) => {
    writeFileSync(flows, text);
    const { code, stderr } = await cellwall(NOWHERE, 'policy', 'simulate', '-f', file, '--from', flows);
    expect(code).toBe(2);
    return stderr;
  };
  const plain = (await cellwall(server.httpAddress, 'export', '--since', '1h')).stdout;
  expect(await from(plain)).toMatch(
    /flows\.jsonl:1 is a flow, and no world came before it: labels, addresses and the policies in force are missing; make it with 'cellwall export -o jsonl --world/,
  );
  expect(await from('id,node\n1,2\n')).toMatch(/:1 is not JSON/);
  expect(await from('')).toMatch(/holds no world and no flows/);
  expect(await from('{"format":"cellwall.world/9"}\n')).toMatch(/this version reads cellwall\.world\/1/);
  expect(await from('{"format":"cellwall.world/1","policies":[]}\n')).toMatch(
    /lacks containers, services, nodes, options/,
  );
  const whole = (await cellwall(server.httpAddress, 'export', '--world', '--since', '1h')).stdout;
  expect(await from(`${whole}{"id":"x"}\n`)).toMatch(/:12 is no exported flow: it lacks node, container/);
  expect(await from(`${whole}${whole}`)).toMatch(/:12 is a second world/);
  expect(readFileSync(flows, 'utf8').length).toBeGreaterThan(0);
  expect(await cellwall(NOWHERE, 'policy', 'simulate', '-f', file, '--from', join(folder, 'none'))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('ENOENT'),
  });
});

it('is for those who may propose; the world, for those who may view', async () => {
  const server = await shop();
  const { headers: view } = await tokenOf(server, 'view');
  const { headers: propose } = await tokenOf(server, 'propose');
  const ask = (headers: object) =>
    server.ask('/v1/policies/simulation', { method: 'POST', headers: { ...headers }, body: policy('a', accept('db')) });
  expect((await ask(view)).status).toBe(403);
  expect(await ask(propose)).toMatchObject({ status: 200, body: { applied: [{ key: 'shop/a', change: 'created' }] } });
  expect(await server.ask('/v1/world', { headers: view })).toMatchObject({
    status: 200,
    body: { format: 'cellwall.world/1', policies: [{ metadata: { name: 'old' } }], nodes: [{ name: 'n' }] },
  });
});
