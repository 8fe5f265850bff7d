// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Authority } from '../../control-plane/src/testing/authority.js';
import { CLI, ServerProcess, startAgent } from '../harness/cellwall.js';
import type { CgroupTree } from '../harness/cgroups.js';
import { Cleanup } from '../harness/cleanup.js';
import { makePlace } from '../harness/place.js';
import { tryRun, until } from '../harness/run.js';

const cleanup = new Cleanup();
let folder: string;
let tree: CgroupTree;
let pins: string;
let server: ServerProcess;

const file = (name: string) => join(folder, name);

beforeAll(async () => {
  ({ folder, cgroups: tree, pins } = makePlace(cleanup));
  const ours = new Authority(folder, 'ours');
  ours.issue('server', ['IP:127.0.0.1']);
  ours.issue('agent', ['DNS:node-1']);
  new Authority(folder, 'theirs').issue('stranger', ['DNS:node-1']);
  const token = 'a token of more than sixteen characters';
  writeFileSync(file('token'), `${token}\n`);
  server = await ServerProcess.start(file('data'), file('server.log'), {
    extra: [
      '--tls-cert',
      file('server.pem'),
      '--tls-key',
      file('server.key'),
      '--tls-client-ca',
      file('ours.pem'),
      '--http-token-file',
      file('token'),
    ],
  });
  cleanup.add('the server', () => server.process.stop());
});

afterAll(() => cleanup.run());

async function agentSays(name: string, text: string, extra: string[]): Promise<string[]> {
  const log = file(`${name}.log`);
  const agent = startAgent({
    cgroup: tree.path,
    pins,
    server: server.grpc,
    criSocket: '',
    state: file('state'),
    node: 'node-1',
    log,
    extra,
  });
  try {
    await until(`the agent says "${text}"`, () => {
      if (!agent.running) throw new Error(readFileSync(log, 'utf8'));
      return readFileSync(log, 'utf8').includes(text);
    });
    return readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes(text));
  } finally {
    await agent.stop();
  }
}

const identity = (name: string) => ['--tls-cert', file(`${name}.pem`), '--tls-key', file(`${name}.key`)];

test('an agent and a server that know each other are connected', async () => {
  expect(
    await agentSays('good', '"msg":"connected"', ['--tls-ca', file('ours.pem'), ...identity('agent')]),
  ).toHaveLength(1);
});

test('a server of another authority is not trusted, and the agent says what to check', async () => {
  const said = await agentSays('wrong-ca', '"msg":"not connected"', [
    '--tls-ca',
    file('theirs.pem'),
    ...identity('agent'),
  ]);
  expect(said[0]).toContain('--tls-ca');
});

test('a server under another name is not trusted', async () => {
  const extra = ['--tls-ca', file('ours.pem'), '--tls-server-name', 'other.example', ...identity('agent')];
  expect(await agentSays('wrong-name', '"msg":"not connected"', extra)).toHaveLength(1);
});

test('an agent without a certificate of the authority is turned away', async () => {
  await agentSays('stranger', '"msg":"not connected"', ['--tls-ca', file('ours.pem'), ...identity('stranger')]);
  await agentSays('nobody', '"msg":"not connected"', ['--tls-ca', file('ours.pem')]);
});

test('the API wants its token', () => {
  const cli = (token: string[]) =>
    tryRun('node', [CLI, 'status', '--server', server.http, '--tls-ca', file('ours.pem'), ...token], {
      XDG_CONFIG_HOME: folder,
    });
  const without = cli([]);
  expect(without.code).toBe(5);
  expect(without.stderr).toContain('CELLWALL_TOKEN');
  expect(cli(['--token', 'another token, which is wrong']).code).toBe(5);
  expect(cli(['--token', readFileSync(file('token'), 'utf8').trim()]).code).toBe(0);
});
