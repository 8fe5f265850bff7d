// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { batchOf, plainFlows } from '../../testing/batches.js';
import { temporaryFolder } from '../../testing/folder.js';
import { testServer } from '../../testing/server.js';
import { plainStorage } from '../../testing/store.js';
import { dayOf } from '../days.js';
import { FolderLock } from '../lock.js';
import { backup } from './backup.js';
import { MANIFEST, readManifest } from './manifest.js';
import { backupOffline } from './offline.js';
import { restore } from './restore.js';

const NOW = Date.now() * 1000;
const DAY_US = 86_400e6;
const POLICY = `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: a},
  spec: {egress: [{name: no-db, action: Deny, to: [{networks: [10.0.0.5]}]}]}}`;

/** A data folder with two days of flows. */
function dataFolder() {
  const { folder, storage, commit } = plainStorage(NOW);
  commit(plainFlows(500, 7, NOW - DAY_US));
  commit(plainFlows(300, 8, NOW));
  return { folder, storage, commit };
}

const options = (folder: string, to: string) => ({ folder, to, mibPerSecond: 1000, keep: 7 });
const take = (folder: string, to: string) =>
  backup(
    options(folder, to),
    (snapshot) => snapshot(),
    () => {},
  );

describe('a backup', () => {
  it('answers, when it is restored, what its store did', async () => {
    const first = await testServer();
    const agent = first.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(1000, 7, NOW - DAY_US)));
    agent.sendBatch(batchOf(2, 1001, plainFlows(700, 8, NOW)));
    await agent.acknowledged(2);
    await first.ask('/v1/policies', { method: 'PUT', body: POLICY });
    const times = `since=${new Date(NOW / 1000 - 2 * 86_400e3).toISOString()}&until=${new Date().toISOString()}`;
    const questions = [
      '/v1/flows?limit=900',
      '/v1/flows?container=cgroup:7&limit=10',
      `/v1/map?${times}`,
      '/v1/policies/-/a',
    ];
    const asked = async (server: typeof first) =>
      (await Promise.all(questions.map((it) => server.ask(it)))).map(({ body }) => JSON.stringify(body));
    const before = await asked(first);

    const to = temporaryFolder();
    expect(await first.ask(`/v1/backup?to=${to}`, { method: 'PUT' })).toMatchObject({ status: 202 });
    await expect
      .poll(async () => (await first.ask('/v1/backup')).body)
      .toMatchObject({ backup: { running: false, error: null, result: { files: 3 } } });
    expect((await first.ask('/v1/status')).body).toMatchObject({ store: { backup: { running: false } } });
    const data = join(temporaryFolder(), 'restored');
    await restore(to, data);
    const second = await testServer(data);
    expect(await asked(second)).toEqual(before);
    // What agents know by number is not given to something else.
    expect((await second.ask('/v1/status')).body).toMatchObject({ generation: 1_000_001 });
    const again = second.agent();
    expect((await again.hello('n')).committedEventIndex).toBe(1700);
  });

  it("has the server's own authority, so that agents know a server that is restored", async () => {
    const first = await testServer(temporaryFolder(), { tls: 'own' });
    const to = temporaryFolder();
    const data = join(temporaryFolder(), 'restored');
    await take(first.folder, to);
    await restore(to, data);
    for (const name of ['ca/authority.pem', 'ca/server.pem']) {
      expect(readFileSync(join(data, name), 'utf8')).toBe(readFileSync(join(first.folder, name), 'utf8'));
      expect(statSync(join(data, name)).mode & 0o077).toBe(0);
    }
  });

  it('is of one moment in all its files, while flows go into two days in turn', async () => {
    const { folder, storage, commit } = dataFolder();
    const to = temporaryFolder();
    let moment = 0;
    const before = storage.committed('n', 'boot.1');
    await backup(
      options(folder, to),
      (snapshot) => {
        moment = storage.committed('n', 'boot.1');
        return snapshot();
      },
      // Between two steps of the copying.
      () => {
        commit(plainFlows(50, 9, NOW - DAY_US));
        commit(plainFlows(50, 9, NOW));
      },
    );
    expect(moment).toBe(before);
    expect(storage.committed('n', 'boot.1')).toBeGreaterThan(moment);
    storage.close();
    const data = join(temporaryFolder(), 'restored');
    await restore(to, data);
    const rows = [dayOf(NOW - DAY_US), dayOf(NOW)].map((day) => {
      const database = new Sqlite(join(data, `flows-${day}.db`));
      return database.prepare('SELECT count(*) FROM flows').pluck().get();
    });
    expect(rows).toEqual([500, 300]);
  });

  it('shares with the one before what has not changed, and keeps so many', async () => {
    const { folder, storage } = dataFolder();
    storage.close();
    const to = temporaryFolder();
    const first = await take(folder, to);
    expect(first).toMatchObject({ files: 3, copiedBytes: first.bytes });
    // What was written just now could change again within the same tick of the clock.
    await new Promise((resolve) => setTimeout(resolve, 2100));
    const settled = await take(folder, to);
    expect(settled.copiedBytes).toBe(0);
    const yesterday = `flows-${dayOf(NOW - DAY_US)}.db`;
    expect(statSync(join(settled.folder, yesterday)).nlink).toBeGreaterThan(1);

    const { storage: again, commit: commitAgain } = plainStorage(NOW, folder);
    commitAgain(plainFlows(10, 9, NOW));
    again.close();
    const changed = await backup(
      { ...options(folder, to), keep: 2 },
      (snapshot) => snapshot(),
      () => {},
    );
    expect(changed.copiedBytes).toBeGreaterThan(0);
    expect(changed.copiedBytes).toBeLessThan(changed.bytes);
    expect(readdirSync(to)).toHaveLength(2);
    await expect(restore(to, undefined)).resolves.toMatchObject({ backup: changed.folder });
  });

  it('refuses a folder that holds something else, and a relative one', async () => {
    const { folder, storage } = dataFolder();
    storage.close();
    const to = temporaryFolder();
    writeFileSync(join(to, 'letter.txt'), '');
    await expect(take(folder, to)).rejects.toMatchObject({
      code: 'invalid_backup',
      message: expect.stringContaining('letter.txt'),
    });
    await expect(take(folder, 'backups')).rejects.toThrowError(/whole path/);
  });

  it('of a folder in use goes through its server', async () => {
    const { folder, storage } = dataFolder();
    storage.close();
    const lock = new FolderLock(folder);
    const to = temporaryFolder();
    await expect(backupOffline(options(folder, to), () => {})).rejects.toMatchObject({ code: 'folder_in_use' });
    lock[Symbol.dispose]();
    await expect(backupOffline(options(folder, to), () => {})).resolves.toMatchObject({ files: 3 });
  });
});

describe('restoring', () => {
  async function whole() {
    const { folder, storage } = dataFolder();
    storage.close();
    const to = temporaryFolder();
    return { ...(await take(folder, to)), to, data: join(temporaryFolder(), 'restored') };
  }

  it('names a file that has changed, is short, or is missing, and makes nothing', async () => {
    const { folder, data, to } = await whole();
    const day = join(folder, `flows-${dayOf(NOW)}.db`);
    const bytes = readFileSync(day);
    const changed = Buffer.from(bytes);
    changed[5000] = (changed[5000] ?? 0) ^ 1;
    for (const [damage, why] of [
      [() => writeFileSync(day, changed), /content has changed/],
      [() => truncateSync(day, 4096), /has 4096 bytes/],
      [() => rmSync(day), /is missing/],
    ] as const) {
      damage();
      await expect(restore(to, data)).rejects.toMatchObject({
        code: 'invalid_backup',
        message: expect.stringMatching(new RegExp(`${dayOf(NOW)}.*${why.source}`)),
      });
      expect(readdirSync(join(data, '..'))).toEqual([]);
    }
  });

  it('refuses a folder that is not empty, and what is no backup', async () => {
    const { to, data, folder } = await whole();
    await restore(to, data);
    await expect(restore(to, data)).rejects.toMatchObject({ code: 'invalid_option' });
    await expect(restore(data, `${data}2`)).rejects.toThrowError(/holds no complete backup/);
    writeFileSync(join(folder, MANIFEST), '{');
    await expect(restore(to, `${data}2`)).rejects.toThrowError(/manifest.json cannot be read/);
  });

  it('refuses files of a newer version, and names the versions', async () => {
    const { folder, data, to } = await whole();
    const manifest = readManifest(folder);
    const newer = manifest.files.map((file) => (file.name === 'state.db' ? { ...file, schema: 99 } : file));
    writeFileSync(join(folder, MANIFEST), JSON.stringify({ ...manifest, files: newer }));
    await expect(restore(to, data)).rejects.toMatchObject({
      code: 'newer_data',
      message: expect.stringMatching(/state\.db has schema 99, this version knows \d+/),
    });
  });
});
