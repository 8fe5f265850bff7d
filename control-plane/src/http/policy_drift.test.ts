// SPDX-License-Identifier: Apache-2.0
//
// Drift over HTTP, and from the command line.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { parseDocuments } from '../policy/index.js';
import { afterEachTest } from '../testing/after_each.js';
import type { TestAgent } from '../testing/agent.js';
import { batchOf } from '../testing/batches.js';
import { TOKEN } from '../testing/certificates.js';
import { CLI, cellwall } from '../testing/cli.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const NOW = Date.now() * 1000;
const MINUTE = 60e6;
const POLICY = `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web-nginx, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}}
  egress:
  - {name: db, action: Accept, to: [{containers: {pods: {matchLabels: {app: db}}}}]}
`;

const container = (cgroupId: number, pod: string, image: string, last: number, agoUs: number) => ({
  cgroupId,
  namespace: 'shop',
  pod,
  name: 'main',
  image,
  labels: { app: pod.split('-')[0] ?? '', 'pod-template-hash': pod.split('-')[1] ?? '' },
  addresses: [`10.1.0.${last}`],
  createdUs: NOW - agoUs,
});
const to = (cgroup: number, last: number, remotePort: number) => ({
  cgroup,
  endUs: NOW,
  remote: [10, 1, 0, last],
  remotePort,
});

/** Of which a new release has come a minute ago. */
async function shop(): Promise<{ server: TestServer; agent: TestAgent }> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const upserted = [
    container(7, 'web-aaa-bcdfg', 'web:1.4', 7, 90 * MINUTE),
    container(8, 'web-bbb-bcdfg', 'web:1.5', 8, MINUTE),
    container(9, 'db-ccc-bcdfg', 'db:1', 9, 90 * MINUTE),
  ];
  agent.send({ containers: { complete: true, upserted } });
  expect((await server.ask('/v1/policies', { method: 'PUT', body: POLICY })).status).toBe(200);
  agent.sendBatch(batchOf(1, 1, [to(7, 9, 5432), to(8, 9, 5432)]));
  await agent.acknowledged(1);
  return { server, agent };
}

const drift = (server: TestServer, ...args: string[]) =>
  cellwall(server.httpAddress, 'policy', 'drift', '--since', '1h', ...args);

it('is answered to anyone who may view, and has an exit code for pipelines', async () => {
  const { server, agent } = await shop();
  const { headers } = await tokenOf(server, 'view');
  const { status, body } = await server.ask('/v1/policies/drift?namespace=shop&since=1h', { headers });
  expect(status).toBe(200);
  expect(body).toMatchObject({ policies: 1, containers: 3, young: 1, releases: [], unused: [], patches: [] });
  expect(await drift(server)).toMatchObject({ code: 0, stdout: expect.stringContaining('\nno drift\n'), stderr: '' });

  agent.sendBatch(batchOf(2, 3, [{ ...to(8, 77, 6379), verdict: 2, end: 2 }]));
  await agent.acknowledged(2);
  const found = await drift(server);
  expect(found).toMatchObject({ code: 1, stderr: expect.stringContaining('1 new connection that no rule accepts') });
  expect(found.stdout).toMatch(
    /shop\/web\/main: web:1\.4 \(aaa\) -> web:1\.5 \(bbb\) since .*: 1 of 1 connections as before, and\n/,
  );
  expect(found.stdout).toMatch(
    /-> tcp 10\.1\.0\.77 6379 .* denied {2}shop\/web-nginx:\(default deny\) {2}accepts it\n/,
  );
  expect((await drift(server, '--fail-on', 'unused')).code).toBe(0);
  expect((await drift(server, '--fail-on', 'never', '-o', 'markdown')).stdout).toContain('## Patch of shop/web-nginx');
  expect(JSON.parse((await drift(server, '-o', 'json')).stdout)).toMatchObject({ patches: [{ added: 1, removed: 0 }] });

  const { stdout } = await drift(server, '-o', 'yaml');
  expect(parseDocuments(stdout, 'patch')).toMatchObject({ problems: [], policies: [{ egress: [{ name: 'db' }, {}] }] });
  expect((await server.ask('/v1/policies', { method: 'PUT', body: stdout })).status).toBe(200);
  expect((await drift(server)).code).toBe(0);
});

it('has a clear answer to an empty history, an unknown namespace, and times that are none', async () => {
  const server = await testServer();
  expect(await drift(server)).toMatchObject({
    code: 4,
    stdout: expect.stringContaining('Nothing is on record for that time.'),
    stderr: expect.stringContaining("nothing is on record since 1h: see 'cellwall status'"),
  });
  expect((await drift(server, '--namespace', 'nowhere')).stderr).toContain('there was no container of nowhere');
  expect(await drift(server, '--unused', 'long')).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('"long" is not a time'),
  });
  expect(await drift(server, '--watch', '-o', 'yaml')).toMatchObject({ code: 2 });
});

const stopping: (() => unknown)[] = [];
afterEachTest(() => {
  for (const stop of stopping.splice(0)) stop();
});

it('tells what is new as it happens, each once', async () => {
  const { server, agent } = await shop();
  const args = [CLI, 'policy', 'drift', '--watch', '--every', '1', '-o', 'json', '--since', '1h'];
  const env = { ...process.env, CELLWALL_SERVER: server.httpAddress, CELLWALL_TOKEN: TOKEN };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  stopping.push(() => child.kill());
  const lines: { kind: string; flow: { port: number } }[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const send = async (sequence: number, port: number) => {
    agent.sendBatch(batchOf(sequence, sequence + 1, [to(8, 77, port)]));
    await agent.acknowledged(sequence);
  };
  await send(2, 6379);
  await expect.poll(() => lines.map(({ kind, flow }) => [kind, flow.port])).toEqual([['releases', 6379]]);
  await send(3, 6380);
  await expect.poll(() => lines.map(({ flow }) => flow.port)).toEqual([6379, 6380]);
  child.kill();
  await once(child, 'exit');
  expect(lines).toHaveLength(2);
});
