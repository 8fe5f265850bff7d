// SPDX-License-Identifier: Apache-2.0
//
// From Audit to Enforce and back, with what was found meanwhile.
import { expect, it } from 'vitest';
import { batchOf } from '../testing/batches.js';
import { CLI, cellwall, run } from '../testing/cli.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const TEXT = `# who: team web
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web, namespace: shop}
spec:
  subject: {containers: [nginx]}   # the server, not its sidecar
  mode: Audit
  isolate: [Egress]
`;

async function audited(findings: boolean): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  agent.send({
    containers: { complete: true, upserted: [{ cgroupId: 7, namespace: 'shop', pod: 'web', name: 'nginx' }] },
  });
  expect((await server.ask('/v1/policies', { method: 'PUT', body: TEXT })).status).toBe(200);
  const endUs = Date.now() * 1000 + 1000;
  // The first rule that gets a number: (default deny) of the policy.
  const rule = findings ? 16 : 0;
  const flow = { cgroup: 7, endUs, verdict: findings ? 3 : 1, rule, remote: [192, 0, 2, 5] };
  agent.sendBatch(batchOf(1, 1, [flow, flow]));
  await agent.acknowledged(1);
  return server;
}

const policy = (server: TestServer, ...args: string[]) => cellwall(server.httpAddress, 'policy', ...args);
const text = async (server: TestServer) => (await policy(server, 'get', 'shop/web')).stdout;

it('promotes a policy that found nothing, and changes nothing else of its text', async () => {
  const server = await audited(false);
  expect(await policy(server, 'promote', 'shop/web', '--dry-run')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('would be in mode Enforce; nothing was changed'),
  });
  expect(await text(server)).toBe(TEXT);
  expect(await policy(server, 'promote', 'shop/web')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^shop\/web has found nothing that it would refuse since .*\n(.*\n)*.*is in mode Enforce\n/,
    ),
  });
  expect(await text(server)).toBe(TEXT.replace('Audit', 'Enforce'));
  expect((await policy(server, 'promote', 'shop/web')).stdout).toBe('shop/web is in mode Enforce already\n');
  expect((await policy(server, 'demote', 'shop/web')).code).toBe(0);
  expect(await text(server)).toBe(TEXT);
});

it('refuses while there are findings, unless told', async () => {
  const server = await audited(true);
  const refused = await policy(server, 'promote', 'shop/web');
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('--despite-findings') });
  expect(refused.stdout).toMatch(/shop\/web would have refused 2 flows since/);
  expect(refused.stdout).toMatch(/shop\/web\/nginx +2 +-> tcp 192\.0\.2\.5 443 +\(default deny\)/);
  expect(await text(server)).toBe(TEXT);
  expect((await policy(server, 'promote', 'shop/web', '--despite-findings')).code).toBe(0);
  expect(await text(server)).toContain('mode: Enforce');
});

it('proposes it where the role is propose', async () => {
  const server = await audited(false);
  const { token } = await tokenOf(server, 'propose');
  const args = ['policy', 'promote', 'shop/web', '--server', server.httpAddress, '--token', token];
  expect(await run(process.execPath, [CLI, ...args])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('cellwall proposals approve 1'),
  });
  expect(await text(server)).toBe(TEXT);
  expect((await cellwall(server.httpAddress, 'proposals', 'approve', '1')).code).toBe(0);
  expect(await text(server)).toBe(TEXT.replace('Audit', 'Enforce'));
  expect(await policy(server, 'promote', 'shop/none')).toMatchObject({ code: 4 });
});
