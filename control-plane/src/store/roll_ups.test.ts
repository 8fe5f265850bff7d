// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { SampleFlow } from '../testing/batches.js';
import { temporaryFolder } from '../testing/folder.js';
import { plainStorage, TestStore } from '../testing/store.js';
import { dayOf, dayPath } from './days.js';
import { Storage } from './storage.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const DAY_US = 86_400e6;
const OLD = dayOf(NOW - 3 * DAY_US);
const EVER = { sinceUs: NOW - 100 * DAY_US, untilUs: NOW + DAY_US };

const flows = (count: number, ago: number): SampleFlow[] =>
  Array.from({ length: count }, (_, i) => ({
    cgroup: 7,
    endUs: NOW - ago - i * 1000,
    remote: [10, 0, 0, i % 5],
    sentBytes: i,
  }));

const retiring = (folder: string, rollUpDays = 400, warn = vi.fn()) =>
  new Storage({ folder, retentionDays: 1, rollUpDays, maxBytes: 1e12, warn });

/** A store with an old day, of which a part is digested, and one of today. */
function filled() {
  const store = new TestStore(NOW);
  for (let i = 0; i < 40; i++) store.add('n', flows(1000, 3 * DAY_US));
  store.digest();
  store.add('n', flows(700, 0));
  const ask = () =>
    store.edges
      .edges(EVER, { sql: [], values: [] })
      .edges.map(({ address, flows, sentBytes, firstUs, lastUs }) => ({ address, flows, sentBytes, firstUs, lastUs }))
      .sort((a, b) => a.address.localeCompare(b.address));
  store.storage.close();
  return { folder: store.connections.folder, ask, close: () => store.connections.close() };
}

it('edges of a day are asked as before when its rows are gone', () => {
  const { folder, ask, close } = filled();
  const before = ask();
  expect(before).toHaveLength(5);
  expect(before[0]).toMatchObject({ flows: 8140 });
  const storage = retiring(folder);
  expect(storage.retire(NOW)).toEqual([OLD]);
  storage.close();
  expect(existsSync(dayPath(folder, OLD))).toBe(false);
  expect(ask()).toEqual(before);
  close();
});

it('a day that was kept and outlived a crash is counted once, and one that was begun anew is kept', () => {
  const { folder, ask, close } = filled();
  const before = ask();
  const copy = join(temporaryFolder(), 'copy');
  copyFileSync(dayPath(folder, OLD), copy);
  const first = retiring(folder);
  first.retire(NOW);
  first.close();
  copyFileSync(copy, dayPath(folder, OLD));
  retiring(folder).close();
  expect(existsSync(dayPath(folder, OLD))).toBe(false);
  expect(ask()).toEqual(before);

  const { storage, commit } = plainStorage(NOW, folder);
  commit(flows(100, 3 * DAY_US));
  storage.close();
  retiring(folder).close();
  expect(existsSync(dayPath(folder, OLD))).toBe(true);
  close();
});

it('months go when they have ended long enough ago, and a damaged one is set aside', () => {
  const { folder, close } = filled();
  close();
  const first = retiring(folder);
  first.retire(NOW);
  first.close();
  expect(readdirSync(folder)).toContain('rollups-2026-02.db');
  const later = retiring(folder, 40);
  later.retire(NOW + 30 * DAY_US);
  expect(readdirSync(folder)).toContain('rollups-2026-02.db');
  later.retire(NOW + 80 * DAY_US);
  later.close();
  expect(readdirSync(folder).filter((name) => name.startsWith('rollups-2026-02'))).toEqual([]);

  const warn = vi.fn();
  const again = filled();
  again.close();
  writeFileSync(join(again.folder, `rollups-${OLD.slice(0, 7)}.db`), 'no database'.repeat(1000));
  retiring(again.folder, 400, warn).close();
  expect(warn).toHaveBeenCalledWith(expect.stringMatching(/sums of 2026-02 are damaged.*\.corrupt-/));
});
