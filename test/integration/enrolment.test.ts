// SPDX-License-Identifier: Apache-2.0
//
// A real agent that enrols with a real server, renews, follows a rotation of the authority, and is revoked.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CLI, ServerProcess, startAgent } from '../harness/cellwall.js';
import type { CgroupTree } from '../harness/cgroups.js';
import { Cleanup } from '../harness/cleanup.js';
import { makePlace } from '../harness/place.js';
import { ROOT } from '../harness/root.js';
import { Background, run, tryRun, until } from '../harness/run.js';

const LIFE_S = 30;
const CONNECTOR = join(ROOT, 'build/workloads/connector');
/** Connections at once. */
const ROUND = 200;

const cleanup = new Cleanup();
let folder: string;
let tree: CgroupTree;
let pins: string;
let server: ServerProcess;
let agent: Background;

const file = (name: string) => join(folder, name);
const logOf = (name: string) => readFileSync(file(`${name}.log`), 'utf8');

function cli(...args: string[]) {
  const env = [`NODE_EXTRA_CA_CERTS=${file('ca.pem')}`, `CELLWALL_TOKEN=${server?.token ?? ''}`];
  return tryRun('env', [...env, 'node', CLI, ...args]);
}

function ask(...args: string[]): string {
  const done = cli(...args, '--server', server.http);
  if (done.code !== 0) throw new Error(`${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

function begin(name: string, node: string, extra: string[], state = 'state'): Background {
  return startAgent({
    cgroup: tree.path,
    pins,
    server: server.grpc,
    criSocket: '',
    state: file(state),
    node,
    log: file(`${name}.log`),
    extra: ['--statistics-interval', '1', ...extra],
  });
}

async function says(name: string, text: string | RegExp, timeoutMs = 20_000): Promise<void> {
  try {
    await until('it says so', () => new RegExp(text).test(logOf(name)), timeoutMs);
  } catch {
    throw new Error(`${name} does not say ${text}, but: ${logOf(name).split('\n').slice(-6).join('\n')}`);
  }
}

const times = (text: string, what: RegExp) => (text.match(what) ?? []).length;

interface Node {
  name: string;
  connected: boolean;
  identity: { ends: string; authority: string; revoked: string | null; error: string | null };
  counters: Record<string, number>;
}

const nodeNow = () =>
  (JSON.parse(ask('nodes', '-o', 'json')) as { nodes: Node[] }).nodes.find((it) => it.name === 'node-1');

async function startServer(): Promise<void> {
  server = await ServerProcess.start(file('data'), file('server.log'), {
    ...(server && { grpc: server.grpc }),
    extra: ['--tls', 'own', '--tls-names', 'cellwall.test', '--agent-certificate-life', `${LIFE_S}s`],
  });
}

beforeAll(async () => {
  ({ folder, cgroups: tree, pins } = makePlace(cleanup));
  const made = JSON.parse(run('node', [CLI, 'ca', 'init', '--data', file('data'), '-o', 'json'])) as {
    authorities: { certificate: string }[];
  };
  writeFileSync(file('ca.pem'), made.authorities[0]?.certificate ?? '');
  await startServer();
  cleanup.add('the server', () => server.process.stop());
});

afterAll(() => cleanup.run());

test('an agent with a join token is connected, and keeps its key to itself', async () => {
  writeFileSync(
    file('token'),
    run('node', [CLI, 'node', 'join-token', 'list', '--help']) &&
      ask('node', 'join-token', 'create', '--node', 'node-1'),
  );
  agent = begin('agent', 'node-1', ['--join-token-file', file('token')]);
  cleanup.add('the agent', () => agent.stop());
  await says('agent', '"msg":"connected"');
  expect(statSync(file('state/identity.pem')).mode & 0o777).toBe(0o600);
  expect(statSync(file('data/ca/authority.pem')).mode & 0o777).toBe(0o600);
  expect(readFileSync(file('server.log'), 'utf8')).toMatch(/"audit":"node.enrol".*"subject":"node-1"/);
  await until('its certificate is shown', () => nodeNow()?.counters.certificate_ends_seconds);
  expect(ask('nodes')).toMatch(/node-1 .*until /);
});

test('a token that was used, one of another server, and a server that is not the one of the token', async () => {
  const second = begin('second', 'node-2', ['--join-token-file', file('token')], 'state-2');
  await says('second', /"reason":"enrol with server .*is for node node-1, and not for node-2/);
  await second.stop();
  const other = await ServerProcess.start(file('data-other'), file('other.log'), { extra: ['--tls', 'own'] });
  const made = other.cli('node', 'join-token', 'create', '-o', 'json');
  expect(made.stderr).toBe('');
  const foreign = JSON.parse(made.stdout) as { token: string };
  await other.process.stop();
  writeFileSync(file('foreign'), foreign.token);
  const third = begin('third', 'node-3', ['--join-token-file', file('foreign')], 'state-3');
  await says('third', 'is not of the authority in the join token');
  await third.stop();
  // It was told nothing: not even that somebody has such a token.
  expect(readFileSync(file('server.log'), 'utf8')).not.toContain('node-3');
});

test('a certificate is renewed before it ends, and the stream begins anew with it', async () => {
  const first = nodeNow()?.identity.ends ?? '';
  await until('another certificate', () => (nodeNow()?.identity.ends ?? first) !== first, LIFE_S * 1000);
  await says('agent', '"msg":"certificate renewed"');
  await until('connected again', () => times(logOf('agent'), /"msg":"connected"/g) >= 2);
  expect(nodeNow()).toMatchObject({ connected: true, identity: { error: null } });
  expect(times(logOf('agent'), /"level":"error"/g)).toBe(0);
});

/** Connects from a container until it is told to stop; returns how often. */
function keepConnecting(): () => Promise<number> {
  const cgroup = tree.make(`docker-${'c'.repeat(64)}.scope`);
  const [rounds, stop] = [file('rounds'), file('stop')];
  const loop = `while [ ! -e ${stop} ]; do ${CONNECTOR} tcp 127.0.0.1 1 ${ROUND} && echo round >> ${rounds}; done`;
  const connecting = new Background('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs; ${loop}`], file('connector.log'));
  return async () => {
    writeFileSync(stop, '');
    if ((await connecting.exited) !== 0) throw new Error(logOf('connector'));
    return times(readFileSync(rounds, 'utf8'), /round/g) * ROUND;
  };
}

interface Stored {
  flows: { stored: number };
  lost: Record<string, number>;
}

const status = () => JSON.parse(ask('status', '-o', 'json')) as Stored;

test('a rotation of the authority goes by without an outage, and without a lost flow', async () => {
  const before = nodeNow()?.identity.authority;
  const stop = keepConnecting();
  ask('ca', 'rotate');
  await until('a certificate of the new authority', () => {
    const now = nodeNow();
    return now?.connected && now.identity.authority !== before;
  });
  ask('ca', 'rotate', '--finish');
  const shown = cli('ca', 'show', '--data', file('data'), '-o', 'json').stdout;
  const { authorities } = JSON.parse(shown) as { authorities: { certificate: string }[] };
  expect(authorities).toHaveLength(1);
  writeFileSync(file('ca.pem'), authorities[0]?.certificate ?? '');
  await until('connected', () => nodeNow()?.connected);
  const made = await stop();
  await until(`${made} flows are stored`, () => status().flows.stored >= made);
  expect(status()).toMatchObject({ flows: { stored: made } });
  expect(Object.values(status().lost).every((count) => count === 0)).toBe(true);
  expect(made).toBeGreaterThan(10 * ROUND);
  expect(times(logOf('agent'), /"level":"error"/g)).toBe(0);
});

test('an agent connects again after a restart, without its token', async () => {
  await agent.stop();
  rmSync(file('token'));
  agent = begin('again', 'node-1', ['--join-token-file', file('token')]);
  await says('again', '"msg":"connected"');
});

test('an agent cannot be another node', async () => {
  await agent.stop();
  const thief = begin('thief', 'node-9', []);
  await says('thief', /says that it is node node-9, but shows a certificate of node node-1/);
  await thief.stop();
  expect(readFileSync(file('server.log'), 'utf8')).toMatch(/"audit":"agent.refused".*"subject":"node-9"/);
});

test('a revoked node is put out at once, and let in again', async () => {
  agent = begin('revoked', 'node-1', []);
  await says('revoked', '"msg":"connected"');
  ask('node', 'revoke', 'node-1');
  await says('revoked', /"msg":"not connected".*node node-1 was revoked/, 3000);
  expect(ask('nodes')).toMatch(/node-1 .*revoked/);
  const lines = times(logOf('revoked'), /"msg":"connected"/g);
  ask('node', 'allow', 'node-1');
  await until('connected again', () => times(logOf('revoked'), /"msg":"connected"/g) > lines);
});

test('a certificate that ended while the server was away is said, and a new token helps', async () => {
  await server.process.stop();
  await says('revoked', /the certificate of this agent ended at/, LIFE_S * 1000 + 5000);
  await startServer();
  await says('revoked', /is not let in: its certificate has ended/);
  await agent.stop();
  writeFileSync(file('token-2'), ask('node', 'join-token', 'create', '--node', 'node-1'));
  agent = begin('back', 'node-1', ['--join-token-file', file('token-2')]);
  await says('back', '"msg":"connected"');
});

test('a server with other data is refused its policies, until the agent is enrolled with it', async () => {
  writeFileSync(
    file('policy.json'),
    JSON.stringify({
      apiVersion: 'cellwall.dev/v1alpha1',
      kind: 'ContainerPolicy',
      metadata: { name: 'one' },
      spec: { egress: [{ name: 'no-db', action: 'Deny', to: [{ networks: ['10.0.0.5'] }] }] },
    }),
  );
  ask('policy', 'apply', '-f', file('policy.json'));
  ask('policy', 'delete', 'one');
  ask('policy', 'apply', '-f', file('policy.json'));
  await says('back', /"msg":"policy applied","generation":3/);
  await agent.stop();
  await server.process.stop();
  // The data is lost, the authority was kept elsewhere.
  run('cp', ['-a', file('data/ca'), file('ca-copy')]);
  rmSync(file('data'), { recursive: true });
  // With it went all tokens: the admin logs in anew.
  rmSync(file('data.config'), { recursive: true });
  mkdirSync(file('data'), { mode: 0o700 });
  run('cp', ['-a', file('ca-copy'), file('data/ca')]);
  await startServer();
  ask('policy', 'apply', '-f', file('policy.json'));
  agent = begin('lost', 'node-1', []);
  await says(
    'lost',
    /the server has another store \([0-9a-f-]{36}\) than the one that the policy of this node is from/,
  );
  await until('the server shows it', () => ask('nodes').includes('refused: the server has another store'));
  await agent.stop();
  writeFileSync(file('token-3'), ask('node', 'join-token', 'create', '--node', 'node-1'));
  agent = begin('anew', 'node-1', ['--join-token-file', file('token-3')]);
  await says('anew', /"msg":"policy applied","generation":1/);
  expect(nodeNow()?.connected).toBe(true);
});
