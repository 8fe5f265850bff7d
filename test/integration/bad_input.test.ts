// SPDX-License-Identifier: Apache-2.0
//
// Wrong options and broken surroundings: one clear error each, and nothing is lost.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AGENT, CLI, lossesIn, ServerProcess, startAgent } from '../harness/cellwall.js';
import { type CgroupTree, cgroup2Mount } from '../harness/cgroups.js';
import { Cleanup } from '../harness/cleanup.js';
import { makePlace } from '../harness/place.js';
import { run, tryRun, until } from '../harness/run.js';

const cleanup = new Cleanup();
let folder: string;
let tree: CgroupTree;
let pins: string;

beforeAll(() => {
  ({ folder, cgroups: tree, pins } = makePlace(cleanup));
});

afterAll(() => cleanup.run());

describe('agent', () => {
  const agent = (...args: string[]) => tryRun(AGENT, args);
  const started = (...args: string[]) =>
    agent('--cgroup', tree.path, '--pin-directory', pins, '--state-directory', join(folder, 'state'), ...args);

  test.each([
    ['an unknown flag', ['--colour', 'red'], 2, '--colour'],
    ['no attach point', ['run'], 2, '--cgroup is missing'],
    ['an attach point that is the root', ['--cgroup', cgroup2Mount()], 1, 'is the root cgroup'],
    ['an attach point that is no cgroup', ['--cgroup', tmpdir()], 1, 'is not on a cgroup v2 file system'],
    ['an attach point that is not there', ['--cgroup', '/nowhere'], 1, 'No such file or directory'],
    ['a server without a port', ['--cgroup', '/x', '--server', 'somewhere'], 2, 'give HOST:PORT'],
    ['plain text to another machine', ['--cgroup', '/x', '--server', '192.0.2.1:7480'], 2, 'plain text is refused'],
    [
      'a certificate that is not there',
      ['--cgroup', '/x', '--server', '192.0.2.1:7480', '--tls-ca', '/none'],
      2,
      '/none: No such file',
    ],
    ['a number that is too small', ['--cgroup', '/x', '--ring-bytes', '1'], 2, '--ring-bytes'],
  ])('%s', (_, args, code, message) => {
    const done = agent(...args);
    expect({ code: done.code, lines: done.stderr.trim().split('\n').length }).toEqual({ code, lines: 1 });
    expect(done.stderr).toContain(message);
  });

  test('a pin directory that is not on a bpffs', () => {
    const done = agent('--cgroup', tree.path, '--pin-directory', join(folder, 'plain'));
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('mount -t bpf bpf /sys/fs/bpf');
  });

  test('an authority file that holds no certificate', () => {
    writeFileSync(join(folder, 'not-a.pem'), 'hello\n');
    const done = started(
      '--server',
      'cellwall.example:7480',
      '--tls-ca',
      join(folder, 'not-a.pem'),
      '--cri-socket',
      '',
    );
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('holds no certificate in PEM form');
  });

  test('no capability to load programs', () => {
    const done = tryRun('setpriv', [
      '--bounding-set=-all',
      '--inh-caps=-all',
      AGENT,
      '--cgroup',
      tree.path,
      '--pin-directory',
      pins,
    ]);
    expect(done.code).toBe(1);
    expect(done.stderr).toMatch(/CAP_BPF|not permitted|Permission denied/);
  });

  test('a kernel without type information', () => {
    const hidden = `mount --make-rprivate /sys && mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"`;
    const done = tryRun('unshare', [
      '--mount',
      '--propagation',
      'unchanged',
      'sh',
      '-c',
      hidden,
      AGENT,
      '--cgroup',
      tree.path,
      '--pin-directory',
      pins,
    ]);
    expect(done.code).toBe(1);
    expect(done.stderr).toContain('CONFIG_DEBUG_INFO_BTF=y');
  });

  test('a server that is not there, or is no server, is named once and tried again', async () => {
    const log = join(folder, 'unreachable.log');
    const process = startAgent({
      cgroup: tree.path,
      pins,
      server: '127.0.0.1:1',
      criSocket: '',
      state: join(folder, 'state'),
      node: 'n',
      log,
    });
    await until('it says so', () => readFileSync(log, 'utf8').includes('not connected'));
    expect(process.running).toBe(true);
    await process.stop();
    const said = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.includes('not connected'));
    expect(said.length).toBe(1);
    expect(said[0]).toContain('127.0.0.1:1');
    expect(agent('uninstall', '--pin-directory', pins).code).toBe(0);
  });
});

describe('server', () => {
  const server = (...args: string[]) => tryRun('node', [CLI, 'server', ...args]);
  const quiet = ['--grpc-listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'];

  test.each([
    ['an unknown flag', ['--colour'], 2, 'unknown option'],
    ['an address without a port', ['--grpc-listen', 'localhost'], 2, 'give HOST:PORT'],
    ['plain gRPC for others', ['--tls', 'off', '--grpc-listen', '0.0.0.0:0'], 2, 'can be reached from outside'],
    ['plain HTTP for others', ['--tls', 'off', '--http-listen', '0.0.0.0:0'], 2, 'can be reached from outside'],
    ['a certificate without its key', ['--tls-cert', '/etc/passwd'], 2, 'go together'],
    [
      'a certificate that is none',
      ['--tls-cert', '/etc/passwd', '--tls-key', '/etc/passwd'],
      2,
      'holds no certificate',
    ],
    ['a certificate that is not there', ['--tls-cert', '/none', '--tls-key', '/none'], 2, '/none'],
    ['no days at all', ['--retention-days', '0'], 2, 'whole number'],
    ['a data folder that is a file', ['--data', '/etc/passwd', ...quiet], 2, '/etc/passwd'],
  ])('%s', (_, args, code, message) => {
    const done = server('--data', join(folder, 'unused'), ...args);
    expect(done.code, done.stderr).toBe(code);
    expect(done.stderr).toContain(message);
  });

  test('a second server on the same folder, and a port that is taken', async () => {
    const data = join(folder, 'data');
    const first = await ServerProcess.start(data, join(folder, 'first.log'));
    try {
      const second = server('--data', data, ...quiet);
      expect(second.code).toBe(1);
      expect(second.stderr).toContain(`in use by another server (process ${first.process.pid})`);
      const taken = server(
        '--data',
        join(folder, 'other'),
        '--grpc-listen',
        first.grpc,
        '--http-listen',
        '127.0.0.1:0',
      );
      expect(taken.code).toBe(1);
      expect(taken.stderr).toContain(`--grpc-listen ${first.grpc}`);
    } finally {
      await first.process.stop();
    }
    // Nothing of the first one was harmed, and its lock went with it.
    const again = await ServerProcess.start(data, join(folder, 'again.log'));
    await again.process.stop();
  });

  test('policies that are wrong are refused with place and reason, and change nothing', async () => {
    const process = await ServerProcess.start(join(folder, 'policies'), join(folder, 'policies.log'));
    try {
      const policy = (rule: string) =>
        `apiVersion: cellwall.dev/v1alpha1\nkind: ContainerPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  egress:\n  - ${rule}\n`;
      const cases = [
        ['{name: a, acton: Deny}', 'unknown field "acton"; did you mean "action"?'],
        ['{name: a, action: Deny, to: [{networks: ["10.0.0.0/8", "10.1.0.0/16"]}]}', 'lies within "10.0.0.0/8"'],
        ['{name: a, action: Deny, to: [{networks: ["10.0.0/8"]}]}', 'is not a network'],
        ['{name: a, action: Deny, protocols: [{tcp: {destinationPort: {number: 70000}}}]}', 'port from 1 to 65535'],
      ] as const;
      for (const [rule, message] of cases) {
        const file = join(folder, 'policy.yaml');
        writeFileSync(file, policy(rule));
        const done = process.cli('policy', 'apply', '-f', file);
        expect(done.code).toBe(5);
        expect(done.stderr).toContain(message);
        expect(done.stderr).toMatch(new RegExp(`${file}:6:\\d+ spec\\.egress\\[0\\]`));
      }
      expect((await process.get<{ generation: number }>('/v1/status')).generation).toBe(0);
      expect(process.cli('deny', '--container', 'shop/web/x', '--to', '10.0.0.5:70000').code).toBe(2);
      expect(process.cli('policy', 'delete', 'shop/none').code).toBe(4);
      expect(process.cli('flows', '--peer', 'everyone').code).toBe(5);
    } finally {
      await process.process.stop();
    }
    expect(tryRun('node', [CLI, 'status', '--server', process.http]).code).toBe(3);
  });
});

describe('store', () => {
  const inCgroup = (command: string) =>
    tryRun('sh', ['-c', `echo $$ > ${tree.path}/docker/${'c'.repeat(64)}/cgroup.procs && ${command}`]);
  const CONNECTOR = 'build/workloads/connector';

  async function withNode(data: string, work: (server: ServerProcess) => Promise<void>): Promise<void> {
    const server = await ServerProcess.start(data, join(folder, 'store.log'));
    tree.make(`docker/${'c'.repeat(64)}`);
    const state = join(folder, 'store-state');
    const agent = startAgent({
      cgroup: tree.path,
      pins,
      server: server.grpc,
      criSocket: '',
      state,
      node: 'n',
      log: join(folder, 'store-agent.log'),
    });
    try {
      await until(
        'the agent is connected',
        async () => (await server.get<{ nodes: { connected: number } }>('/v1/status')).nodes.connected === 1,
      );
      await work(server);
    } finally {
      await agent.stop();
      await server.process.stop();
      tryRun(AGENT, ['uninstall', '--pin-directory', pins]);
    }
  }

  const connect = (count: number) =>
    expect(inCgroup(`${CONNECTOR} tcp 127.0.0.1 9 ${count}`).stdout).toContain(`"refused": ${count}`);
  interface Status {
    store: { writable: boolean; error: string | null };
    flows: { stored: number };
    lost: Record<string, number>;
  }
  const status = (server: ServerProcess) => server.get<Status>('/v1/status');

  test('a full disk stops acknowledgement, not the agent, and nothing is lost', async () => {
    const data = join(folder, 'small');
    mkdirSync(data);
    run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', data]);
    try {
      await withNode(data, async (server) => {
        connect(101);
        await until('the first are stored', async () => (await status(server)).flows.stored === 101);
        tryRun('dd', ['if=/dev/zero', `of=${data}/ballast`, 'bs=4k', 'status=none']);
        connect(20_011);
        await until('the server says so', async () => !(await status(server)).store.writable);
        expect((await status(server)).store.error).toContain('disk of the data folder is full');
        rmSync(join(data, 'ballast'));
        run('mount', ['-o', 'remount,size=64m', data]);
        await until('all are stored', async () => (await status(server)).flows.stored === 20_112, 30_000);
        const after = await status(server);
        expect(after.store).toMatchObject({ writable: true, error: null });
        expect(lossesIn(after.lost)).toEqual({});
      });
    } finally {
      tryRun('umount', ['-l', data]);
    }
  });

  test('a day file that is damaged is set aside, and the server goes on', async () => {
    const data = join(folder, 'damaged');
    await withNode(data, async (server) => {
      connect(11);
      await until('they are stored', async () => (await status(server)).flows.stored === 11);
    });
    const day = readdirSync(data).find((name) => /^flows-.*\.db$/.test(name)) ?? '';
    writeFileSync(join(data, day), Buffer.alloc(8192, 'x'));
    await withNode(data, async (server) => {
      connect(13);
      await until('new flows are stored', async () => (await status(server)).flows.stored === 13);
      expect(lossesIn((await status(server)).lost)).toEqual({});
    });
    expect(readdirSync(data).some((name) => name.startsWith(`${day}.corrupt-`))).toBe(true);
  });
});
