// SPDX-License-Identifier: Apache-2.0
//
// The server in trouble.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startServer } from './app.js';
import { batchOf, plainFlows } from './testing/batches.js';
import { temporaryFolder } from './testing/folder.js';
import { optionsFor, testServer } from './testing/server.js';

const NOW = Date.now() * 1000;
const POLICY = `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: a},
  spec: {egress: [{name: no-db, action: Deny, to: [{networks: [10.0.0.5]}]}]}}`;
const mounts: string[] = [];

/** A disk of its own, of some MiB; undefined where mounting is not allowed. */
function smallDisk(mebibytes: number): string | undefined {
  const folder = join(temporaryFolder(), 'disk');
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'cellwall-test', folder], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  mounts.push(folder);
  return folder;
}

afterEach(() => {
  for (const folder of mounts.splice(0)) execFileSync('umount', ['-l', folder]);
});

const disk = smallDisk(1);
if (disk) for (const folder of mounts.splice(0)) execFileSync('umount', ['-l', folder]);

describe('a full disk', () => {
  it.runIf(disk)('stops acknowledgements, not the server, and loses nothing (needs the right to mount)', async () => {
    const folder = smallDisk(6) as string;
    const server = await testServer(folder);
    const agent = server.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(1000, 7, NOW)));
    await agent.acknowledged(1);
    await server.ask('/v1/policies', { method: 'PUT', body: POLICY });
    const ballast = join(folder, 'ballast');
    const file = openSync(ballast, 'w');
    expect(() => {
      for (;;) writeSync(file, Buffer.alloc(4096));
    }).toThrowError(/ENOSPC/);
    closeSync(file);

    for (let i = 0; i < 10; i++) agent.sendBatch(batchOf(2 + i, 1001 + i * 1000, plainFlows(1000, 100 + i, NOW)));
    await expect.poll(async () => (await server.ask('/readyz')).status, { timeout: 5000 }).toBe(503);
    expect((await server.ask('/v1/status')).body).toMatchObject({
      store: { writable: false, error: expect.stringMatching(/full.*make room/) },
    });
    const late = server.agent();
    await late.hello('late');
    expect(await late.next('ruleSets')).toMatchObject({ generation: 1 });

    for (let i = 1; i <= 33; i++) late.sendBatch(batchOf(i, i, plainFlows(1, 7, NOW)));
    expect((await late.ended).details).toContain('more than 32 batches under way');

    rmSync(ballast);
    expect(await agent.acknowledged(11)).toBe(11_000);
    await expect
      .poll(async () => (await server.ask('/v1/nodes')).body)
      .toMatchObject({ nodes: [{ name: 'late' }, { flows: { stored: 11_000 } }] });
    expect((await server.ask('/readyz')).status).toBe(200);
  });
});

describe('a damaged file', () => {
  it('of a day is set aside when a question meets the damage, and shown in the status', async () => {
    const first = await testServer();
    const agent = first.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(20_000, 7, NOW)));
    await agent.acknowledged(1);
    await first.close();
    const day = readdirSync(first.folder).find((name) => /^flows-.*\.db$/.test(name)) as string;
    const path = join(first.folder, day);
    // The first pages, with the schema and the progress, and the last ones, with the newest rows, stay whole.
    const damage = Buffer.alloc(statSync(path).size - (20 + 40) * 4096, 0xa5);
    const file = openSync(path, 'r+');
    writeSync(file, damage, 0, damage.length, 20 * 4096);
    closeSync(file);

    const server = await testServer(first.folder);
    expect(await server.ask('/v1/flows?peer=192.0.2.1')).toMatchObject({
      status: 503,
      body: { error: { message: expect.stringContaining('set aside') } },
    });
    await expect.poll(async () => (await server.ask('/v1/flows')).body).toMatchObject({ flows: [] });
    expect((await server.ask('/v1/status')).body).toMatchObject({
      store: { setAside: [expect.stringContaining(`${day}.corrupt-`)] },
    });
    const again = server.agent();
    expect((await again.hello('n')).committedEventIndex).toBe(20_000);
    again.sendBatch(batchOf(1, 20_001, plainFlows(5, 7, NOW)));
    await again.acknowledged(1);
    expect((await server.ask('/v1/status')).body).toMatchObject({ flows: { stored: 5 } });
  });

  it('of state is one clear error, and nothing is changed', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'state.db'), 'no database, but long enough to be looked at'.repeat(100));
    await expect(startServer(optionsFor(folder))).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(/state\.db.*damaged/),
    });
  });
});

describe('a second server', () => {
  it('on the same folder is refused with the process that has it, until that one stops', async () => {
    const first = await testServer();
    await expect(startServer(optionsFor(first.folder))).rejects.toMatchObject({
      code: 'folder_in_use',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    await first.close();
    await testServer(first.folder);
  });

  it.each(['grpcListen', 'httpListen'] as const)('on the same %s is refused, and leaves its folder', async (option) => {
    const first = await testServer();
    const taken = option === 'grpcListen' ? first.grpcAddress : new URL(first.httpAddress).host;
    const folder = temporaryFolder();
    await expect(startServer({ ...optionsFor(folder), [option]: taken })).rejects.toMatchObject({
      code: 'cannot_listen',
      message: expect.stringContaining(taken),
    });
    await testServer(folder);
  });
});

it('a folder that cannot be made is named', async () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  await expect(startServer(optionsFor(join(file, 'data')))).rejects.toMatchObject({
    code: 'invalid_option',
    message: expect.stringContaining(join(file, 'data')),
  });
});
