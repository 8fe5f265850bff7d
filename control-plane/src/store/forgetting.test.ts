// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { decodeBatch } from '../ingest/decode.js';
import { batchOf, plainFlows } from '../testing/batches.js';
import { temporaryFolder } from '../testing/folder.js';
import { DAY_US } from './days.js';
import { forgetBefore } from './forgetting.js';
import { Storage } from './storage.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const KEPT_DAYS = 7;
/** Sums stay for another two months at most, and clocks may be ahead. */
const REMEMBERED_DAYS = KEPT_DAYS + 64;
const later = (days: number) => NOW + days * DAY_US;

function begin() {
  const folder = temporaryFolder();
  const storage = new Storage({ folder, retentionDays: 3, rollUpDays: KEPT_DAYS, maxBytes: 1e9, warn: () => {} });
  let sequence = 0;
  const flow = (cgroup: number, us: number) => {
    sequence += 1;
    const data = batchOf(sequence, sequence, plainFlows(1, cgroup, us));
    storage.commit([{ stream: 1, node: 'n', epoch: 'boot.1', data }], us);
  };
  const use = (text: string, us: number) =>
    storage.state.transaction(() => {
      storage.state.onDay(us);
      return storage.state.stringId(text);
    });
  const end = (cgroup: number, us: number) => storage.state.updateContainers('n', 'boot.1', [], [cgroup], false, us);
  const all = (sql: string) => {
    const database = new Sqlite(join(folder, 'state.db'), { readonly: true });
    try {
      return database.prepare(sql).pluck().all();
    } finally {
      database.close();
    }
  };
  return {
    folder,
    storage,
    flow,
    use,
    end,
    containers: () => all('SELECT cgroup FROM containers ORDER BY cgroup'),
    strings: () => all('SELECT text FROM strings ORDER BY text'),
  };
}

it('forgets containers that ended before all that is kept, and nothing that may be referred to', () => {
  const { storage, flow, end, containers } = begin();
  for (const cgroup of [7, 8, 9]) flow(cgroup, NOW);
  end(7, NOW);
  end(8, later(1));
  storage.retire(later(REMEMBERED_DAYS));
  expect(containers()).toEqual([7, 8, 9]);
  storage.retire(later(REMEMBERED_DAYS + 0.4));
  expect(containers(), 'once a day').toEqual([7, 8, 9]);
  storage.retire(later(REMEMBERED_DAYS + 1));
  expect(containers(), '8 ended a day later, 9 goes on').toEqual([8, 9]);
  flow(7, later(REMEMBERED_DAYS + 1));
  expect(containers(), 'one that comes again has a number again').toEqual([7, 8, 9]);
  storage.close();
});

it('forgets strings that no kept day has', () => {
  const { storage, use, strings } = begin();
  for (const text of ['seldom', 'daily', 'nginx']) use(text, NOW);
  const container = storage.state.containerId('n', 'boot.1', 9, NOW);
  storage.state.open.setListeners(
    'n',
    [
      {
        container,
        listener: {
          cgroup: 9,
          address: { high: 0n, low: 0n },
          protocol: 6,
          port: 80,
          processId: 1,
          processName: 'nginx',
        },
      },
    ],
    NOW,
  );
  for (let day = 1; day < REMEMBERED_DAYS; day++) use('daily', later(day));
  storage.retire(later(REMEMBERED_DAYS));
  expect(strings()).toEqual(['daily', 'nginx', 'seldom']);
  storage.retire(later(REMEMBERED_DAYS + 2));
  expect(strings(), 'nginx listens still').toEqual(['daily', 'nginx']);
  use('seldom', later(REMEMBERED_DAYS + 2));
  expect(strings(), 'not the number of before, which nobody knows any more').toEqual(['daily', 'nginx', 'seldom']);
  storage.close();
});

it('keeps what a connection that is open still has', () => {
  const { storage, end, containers, strings } = begin();
  storage.state.onDay(NOW);
  const flows = decodeBatch(batchOf(1, 1, plainFlows(1, 7, NOW))).ended;
  if (!flows) throw new Error('no flows');
  const container = storage.state.containerId('n', 'boot.1', 7, NOW);
  storage.state.open.replace(
    'n',
    flows,
    [container],
    flows.strings.map((it) => storage.state.stringId(it)),
  );
  end(7, NOW);
  storage.retire(later(REMEMBERED_DAYS + 2));
  expect(containers()).toEqual([7]);
  expect(strings()).toEqual([...flows.strings].sort());
  storage.state.open.replace('n', { ...flows, rows: 0 }, [], []);
  storage.retire(later(REMEMBERED_DAYS + 3));
  expect([...containers(), ...strings()]).toEqual([]);
  storage.close();
});

it('takes bounded pieces', () => {
  const { folder, storage, use, strings } = begin();
  for (let i = 0; i < 25; i++) use(`name-${i}`, NOW);
  const database = new Sqlite(join(folder, 'state.db'));
  const pieces = [];
  for (let more = true; more; ) {
    more = forgetBefore(database, later(2), 10);
    pieces.push(strings().length);
  }
  expect(pieces).toEqual([15, 5, 0]);
  database.close();
  storage.close();
});
