// SPDX-License-Identifier: Apache-2.0
import { closeSync, copyFileSync, openSync, readdirSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startServer } from '../app.js';
import { batchOf, plainFlows } from '../testing/batches.js';
import { temporaryFolder } from '../testing/folder.js';
import { optionsFor, testServer } from '../testing/server.js';
import { plainStorage } from '../testing/store.js';
import { dayOf } from './days.js';
import { checkDay, checkWhole } from './integrity.js';

const NOW = Date.now() * 1000;
const TODAY = `flows-${dayOf(NOW)}.db`;

/** A server's folder as a crash leaves it: copied while the server runs. */
async function crashed(rows = 1000): Promise<string> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  agent.sendBatch(batchOf(1, 1, plainFlows(rows, 7, NOW)));
  await agent.acknowledged(1);
  const folder = temporaryFolder();
  for (const name of readdirSync(server.folder).filter((it) => /\.db(-wal)?$/.test(it) && it !== 'lock.db'))
    copyFileSync(join(server.folder, name), join(folder, name));
  await server.close();
  return folder;
}

function damage(file: string, from: number, length: number): void {
  const opened = openSync(file, 'r+');
  writeSync(opened, Buffer.alloc(length, 0xa5), 0, length, from);
  closeSync(opened);
}

const storeOf = async (server: Awaited<ReturnType<typeof testServer>>) =>
  ((await server.ask('/v1/status')).body as { store: Record<string, unknown> }).store;

describe('a start', () => {
  it('after a stop in order checks nothing', async () => {
    const first = await testServer();
    expect(await storeOf(first)).toMatchObject({ lastStop: 'none' });
    await first.close();
    const second = await testServer(first.folder);
    expect(await storeOf(second)).toMatchObject({ lastStop: 'clean', integrity: { checked: [], waiting: 0 } });
  });

  it('after a crash checks state and days, and says so in the status', async () => {
    const server = await testServer(await crashed());
    expect(await storeOf(server)).toMatchObject({
      lastStop: 'crash',
      integrity: {
        waiting: 0,
        checked: [
          { file: 'state.db', result: 'ok' },
          { file: TODAY, result: 'ok' },
        ],
      },
      setAside: [],
    });
    expect((await server.ask('/v1/flows?limit=1')).body).toMatchObject({ flows: [{ id: `${dayOf(NOW)}-1000` }] });
  });

  it('after a crash sets a damaged day aside before anybody asks', async () => {
    const folder = await crashed(20_000);
    const day = join(folder, TODAY);
    const { storage } = plainStorage(NOW, folder);
    storage.close();
    // Rows in the middle: nothing of what a start reads.
    damage(day, 40 * 4096, 20 * 4096);
    const server = await testServer(folder);
    expect(await storeOf(server)).toMatchObject({
      lastStop: 'crash',
      integrity: {
        checked: [
          { file: 'state.db', result: 'ok' },
          { file: TODAY, result: 'damaged' },
        ],
      },
      setAside: [expect.stringContaining(TODAY)],
    });
  });

  it('after a crash refuses a damaged state with the way out', async () => {
    const folder = await crashed();
    plainStorage(NOW, folder).storage.close();
    const state = join(folder, 'state.db');
    damage(state, 4096 * 3, statSync(state).size - 4096 * 3);
    await expect(startServer(optionsFor(folder))).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(/state\.db.*(is damaged|cannot be opened).*restore a backup/),
    });
  });
});

describe('a check', () => {
  function day(rows: number): string {
    const { folder, storage, commit } = plainStorage(NOW);
    commit(plainFlows(rows, 7, NOW));
    storage.close();
    return join(folder, TODAY);
  }

  it('of a file that is too large for the start reads its newest end', () => {
    const file = day(5000);
    expect(checkDay(file, TODAY, 1)).toMatchObject({ result: 'newest', problem: '' });
    expect(checkDay(file, TODAY, 1e9)).toMatchObject({ result: 'ok' });
  });

  it('finds damage in the newest rows, and what is no database', () => {
    const file = day(5000);
    damage(file, 4096 * 12, statSync(file).size - 4096 * 12);
    expect(checkDay(file, TODAY, 1)).toMatchObject({ result: 'damaged', problem: expect.stringMatching(/./) });
    expect(checkWhole(file, TODAY)).toMatchObject({ result: 'damaged' });
    writeFileSync(file, 'no database'.repeat(1000));
    expect(checkWhole(file, TODAY)).toMatchObject({ result: 'damaged' });
  });
});
