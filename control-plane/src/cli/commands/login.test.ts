// SPDX-License-Identifier: Apache-2.0
//
// The compiled command line and its file of credentials.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { certificates } from '../../testing/certificates.js';
import { CLI, type Ran } from '../../testing/cli.js';
import { temporaryFolder } from '../../testing/folder.js';
import { testServer } from '../../testing/server.js';

// Each line starts node anew, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000 });

/** A person with a home of their own. */
function person() {
  const home = temporaryFolder();
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, 'config') };
  for (const name of ['CELLWALL_TOKEN', 'CELLWALL_SERVER', 'CELLWALL_CA']) delete env[name];
  const file = join(home, 'config/cellwall/credentials.json');
  const run = (args: string[], input = '', more: NodeJS.ProcessEnv = {}) =>
    new Promise<Ran>((done) => {
      const child = spawn(process.execPath, [CLI, ...args], { env: { ...env, ...more } });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => (stdout += chunk));
      child.stderr.on('data', (chunk) => (stderr += chunk));
      child.on('close', (code) => done({ code: code ?? 255, stdout, stderr }));
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  return { home, file, run };
}

it('exchanges the one-time token over TLS, keeps what it gets for nobody else to read, and forgets it', async () => {
  const path = certificates();
  const server = await testServer(undefined, {
    tlsCert: path('server.pem'),
    tlsKey: path('server.key'),
    httpTokenFile: undefined,
  });
  const at = ['--server', server.httpAddress];
  const { file, run } = person();
  const distrusting = await run(['status', ...at]);
  expect([distrusting.code, distrusting.stderr]).toEqual([3, expect.stringContaining('--tls-ca or CELLWALL_CA')]);
  const outside = await run(['status', ...at, '--tls-ca', path('ca.pem')]);
  expect([outside.code, outside.stderr]).toEqual([5, expect.stringContaining("run 'cellwall login'")]);
  const login = ['login', ...at, '--token-stdin', '--tls-ca', path('ca.pem'), '--name', 'ann'];
  expect((await run(login, `cellwall_once_${'0'.repeat(64)}`)).code).toBe(5);
  expect(existsSync(file)).toBe(false);
  const done = await run(login, `${server.onceToken}\n`);
  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/as ann, role admin/) });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).not.toContain('once');

  // The token and the authority are known now.
  const me = JSON.parse((await run(['whoami', ...at, '-o', 'json'])).stdout);
  expect(me).toMatchObject({ name: 'ann', role: 'admin' });
  expect((await run(['whoami', ...at, '--token', 'another'])).code).toBe(5);
  expect((await run(['whoami', ...at], '', { CELLWALL_TOKEN: 'another' })).code).toBe(5);

  const made = await run(['token', 'create', 'bob', '--role', 'view', ...at]);
  expect(made.stdout).toMatch(/^cellwall_[0-9a-f]{12}_[0-9a-f]{64}\n$/);
  const bob = person();
  const place = [...at, '--tls-ca', path('ca.pem')];
  expect((await bob.run(['login', ...place, '--token-stdin'], made.stdout)).stdout).toContain('as bob, role view');
  expect((await bob.run(['token', 'list', ...at])).stderr).toContain('needs admin');
  expect((await run(['token', 'list', ...at])).stdout).toMatch(/bob .* view .* valid/);
  expect((await run(['token', 'revoke', 'bob', ...at])).code).toBe(0);
  expect((await bob.run(['whoami', ...at])).stderr).toContain('revoked token');

  const kept = readFileSync(file, 'utf8');
  expect((await run(['logout', ...at])).stdout).toContain('the token is revoked');
  expect((await run(['whoami', ...at, '--tls-ca', path('ca.pem')])).code).toBe(5);
  writeFileSync(file, kept);
  expect((await run(['whoami', ...at])).stderr).toContain('revoked token');
});

it('proves the audit log, at the server and from an export, or names the broken link', async () => {
  const server = await testServer(undefined, { httpTokenFile: undefined });
  const { home, run } = person();
  const at = ['--server', server.httpAddress];
  await run(['login', ...at, '--token-stdin', '--name', 'ann'], server.onceToken ?? '');
  for (const name of ['a', 'b', 'c']) await run(['token', 'create', name, '--role', 'view', ...at]);
  const listed = await run(['audit', 'list', ...at, '--action', 'token.*', '-o', 'json']);
  const { entries, head } = JSON.parse(listed.stdout) as { entries: { number: number }[]; head: string };
  expect(entries.map(({ number }) => number)).toEqual([4, 3, 2]);
  expect((await run(['status', ...at])).stdout).toContain(head);
  expect(await run(['audit', 'verify', ...at, '--head', head])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`up to ${head}`),
  });
  expect(await run(['audit', 'verify', ...at, '--head', `9:${'0'.repeat(64)}`])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('cut off'),
  });

  const file = join(home, 'audit.jsonl');
  const text = (await run(['audit', 'export', ...at])).stdout;
  writeFileSync(file, text);
  const verify = (...more: string[]) => run(['audit', 'verify', '--file', file, ...more]);
  expect(await verify('--head', head)).toMatchObject({ code: 0 });
  writeFileSync(file, text.replace('"name":"b"', '"name":"x"'));
  expect(await verify()).toMatchObject({ code: 1, stderr: expect.stringMatching(/broken at number 3 of 2.*up to 2:/) });
  writeFileSync(file, text.split('\n').slice(0, 2).join('\n'));
  expect((await verify()).code).toBe(0);
  expect((await verify('--head', head)).stderr).toContain('cut off');
});
