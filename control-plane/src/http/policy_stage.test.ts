// SPDX-License-Identifier: Apache-2.0
//
// A version of a policy beside the one in force: what it says of flows, and how it comes into force or is given up.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { expect, it } from 'vitest';
import { batchOf } from '../testing/batches.js';
import { CLI, cellwall, run } from '../testing/cli.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const text = (network: string) => `# who: team web
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web, namespace: shop}
spec:
  subject: {containers: [nginx]}
  isolate: [Egress]
  egress:
  - {name: out, action: Accept, to: [{networks: [${network}]}]}
`;
const [STANDING, NARROWER, SAME] = [text('192.0.2.0/24'), text('192.0.2.5/32'), text('192.0.0.0/16')];

const policy = (server: TestServer, ...args: string[]) => cellwall(server.httpAddress, 'policy', ...args);

async function staged(version: string): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  agent.send({
    containers: { complete: true, upserted: [{ cgroupId: 7, namespace: 'shop', pod: 'web', name: 'nginx' }] },
  });
  expect((await server.ask('/v1/policies', { method: 'PUT', body: STANDING })).status).toBe(200);
  const file = join(server.folder, 'new.yaml');
  writeFileSync(file, version);
  expect(await policy(server, 'stage', '-f', file)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('shop/web staged\n'),
  });
  const endUs = Date.now() * 1000 + 1000;
  const to = (last: number) => ({ cgroup: 7, endUs, verdict: 1, remote: [192, 0, 2, last] });
  agent.sendBatch(batchOf(1, 1, [to(5), to(9), to(9)]));
  await agent.acknowledged(1);
  return server;
}

const pendingOf = async (server: TestServer) => {
  const { flows } = (await server.ask('/v1/flows')).body as { flows: { verdict: string; pending: unknown }[] };
  return flows.map(({ verdict, pending }) => [verdict, pending]);
};

it('shows both verdicts in the same flow, and is not enforced', async () => {
  const server = await staged(NARROWER);
  const denied = { verdict: 'denied', rule: 'shop/web:(default deny)' };
  expect(await pendingOf(server)).toEqual([
    ['allowed', denied],
    ['allowed', denied],
    ['allowed', { verdict: 'allowed', rule: 'shop/web:out' }],
  ]);
  expect((await cellwall(server.httpAddress, 'flows')).stdout).toMatch(
    /PENDING[\s\S]*192\.0\.2\.9:443 .*\(no policy\) +denied shop\/web:\(default deny\)/,
  );
  expect((await policy(server, 'get', 'shop/web')).stdout).toBe(STANDING);
  expect((await policy(server, 'diff', 'shop/web')).stdout).toMatch(/- .*192\.0\.2\.0\/24\n\+ .*192\.0\.2\.5\/32/);
  expect(await policy(server, 'diff')).toMatchObject({ code: 2 });
});

it('is in exports, when they look at who is at the other end', async () => {
  const server = await staged(NARROWER);
  const file = join(server.folder, 'flows.parquet');
  const exported = (...args: string[]) => cellwall(server.httpAddress, 'export', ...args);
  const ends = (text: string) =>
    text
      .trimEnd()
      .split('\r\n')
      .map((line) => line.split(',').slice(-2));
  const columns = ['pending_verdict', 'pending_rule'];
  const denied = ['denied', 'shop/web:(default deny)'];
  expect(ends((await exported('-o', 'csv', '--peers')).stdout)).toEqual([
    columns,
    ['allowed', 'shop/web:out'],
    denied,
    denied,
  ]);
  expect(ends((await exported('-o', 'csv')).stdout)).toEqual([columns, ['', ''], ['', ''], ['', '']]);
  expect(ends((await cellwall(server.httpAddress, 'flows', '-o', 'csv')).stdout)[1]).toEqual(denied);
  expect((await exported('-o', 'parquet', '--peers', '--file', file)).code).toBe(0);
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
  expect(rows.map((row) => columns.map((column) => row[column]))).toEqual([
    ['allowed', 'shop/web:out'],
    denied,
    denied,
  ]);
});

it('says what it would have refused, and is not promoted then unless told', async () => {
  const server = await staged(NARROWER);
  expect((await policy(server, 'staged')).stdout).toMatch(/shop\/web +updated/);
  expect((await policy(server, 'staged', 'shop/web')).stdout).toMatch(
    /2 flows newly refused[\s\S]*shop\/web\/nginx +2 +-> tcp 192\.0\.2\.9 443 +allowed +denied/,
  );
  expect(await policy(server, 'promote', 'shop/web')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('--despite-findings'),
  });
  expect((await policy(server, 'get', 'shop/web')).stdout).toBe(STANDING);
  expect((await policy(server, 'promote', 'shop/web', '--despite-findings')).code).toBe(0);
  expect((await policy(server, 'get', 'shop/web')).stdout).toBe(NARROWER);
  expect((await policy(server, 'staged')).stdout).toBe('nothing is staged\n');
  expect((await pendingOf(server))[0]?.[1]).toBeNull();
});

it('is promoted without findings, also by a proposal', async () => {
  const server = await staged(SAME);
  const { token } = await tokenOf(server, 'propose');
  const args = ['policy', 'promote', 'shop/web', '--server', server.httpAddress, '--token', token];
  expect(await run(process.execPath, [CLI, ...args])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/0 flows newly refused[\s\S]*cellwall proposals approve 1/),
  });
  expect((await cellwall(server.httpAddress, 'proposals', 'approve', '1')).code).toBe(0);
  expect((await policy(server, 'get', 'shop/web')).stdout).toBe(SAME);
  expect((await policy(server, 'staged')).stdout).toBe('nothing is staged\n');
});

it('is given up, survives a restart, and goes with its policy', async () => {
  const server = await staged(NARROWER);
  expect((await policy(server, 'unstage', 'shop/web')).code).toBe(0);
  expect(await policy(server, 'unstage', 'shop/web')).toMatchObject({ code: 4 });
  expect((await policy(server, 'stage', '-f', join(server.folder, 'new.yaml'))).code).toBe(0);
  const { body } = await server.ask('/v1/audit');
  const { entries } = body as { entries: { action: string }[] };
  expect(entries.map(({ action }) => action).slice(0, 3)).toEqual(['policy.stage', 'policy.unstage', 'policy.stage']);
  await server.close();
  const again = await testServer(server.folder);
  expect((await policy(again, 'staged')).stdout).toContain('shop/web');
  expect((await policy(again, 'delete', 'shop/web')).code).toBe(0);
  expect((await policy(again, 'staged')).stdout).toBe('nothing is staged\n');
});

it('refuses what cannot be tried', async () => {
  const server = await testServer();
  const ask = (body: string) => server.ask('/v1/staged', { method: 'PUT', body });
  expect((await ask('kind: Nonsense')).status).toBe(422);
  const observation =
    '{apiVersion: cellwall.dev/v1alpha1, kind: ContainerObservation, metadata: {name: a, namespace: b}, spec: {subject: {}, names: true}}';
  expect(await ask(observation)).toMatchObject({
    status: 409,
    body: { error: { message: expect.stringContaining('observation:b/a judges no flow') } },
  });
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => text('10.0.0.0/8').replace('name: web', `name: w${i}`)).join('---\n');
  expect((await ask(many(101))).status).toBe(429);
  expect((await server.ask('/v1/staged')).body).toEqual({ staged: [] });
});
