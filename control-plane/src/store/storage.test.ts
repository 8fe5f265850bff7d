// SPDX-License-Identifier: Apache-2.0
import { readdirSync, writeFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, vi } from 'vitest';
import type { Filter } from '../flows/filter.js';
import { parseFilter } from '../flows/filter.js';
import { batchOf, columnsOf, plainFlows } from '../testing/batches.js';
import { temporaryFolder } from '../testing/folder.js';
import { Connections } from './connections.js';
import { dayOf, dayPath } from './days.js';
import { Directory } from './directory.js';
import { Inventory } from './inventory.js';
import { Reading } from './reading.js';
import { Storage } from './storage.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const DAY_US = 86_400e6;
const EVERYTHING: Filter = parseFilter({}, NOW);

function open(folder: string, more: { retentionDays?: number; maxBytes?: number } = {}) {
  const warn = vi.fn();
  const storage = new Storage({ folder, retentionDays: 30, rollUpDays: 400, maxBytes: 1e9, warn, ...more });
  const commit = (...batches: Uint8Array[]) =>
    storage.commit(
      batches.map((data) => ({ stream: 1, node: 'n', epoch: 'boot.1', data })),
      NOW,
    );
  return { storage, commit, warn };
}

function read<T>(folder: string, use: (reading: Reading, inventory: Inventory) => T): T {
  const connections = new Connections(folder, () => {});
  const directory = new Directory(() => connections.state());
  try {
    return use(new Reading(connections, directory), new Inventory(connections, directory));
  } finally {
    connections.close();
  }
}

const stored = (folder: string) => read(folder, (reading) => reading.flows(EVERYTHING, 1000, null).flows);

describe('commit', () => {
  it('stores every row of a batch and acknowledges its last event', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    const { acknowledged } = commit(batchOf(1, 1, plainFlows(100, 7, NOW)));
    expect(acknowledged).toEqual([{ stream: 1, sequence: 1, committed: 100 }]);
    storage.close();
    const flows = stored(folder);
    expect(flows).toHaveLength(100);
    expect(flows[0]).toMatchObject({
      cgroupId: '7',
      node: 'n',
      endUs: NOW,
      remote: '10.0.0.2',
      sentBytes: 99,
      processName: 'curl',
    });
  });

  it('drops the rows of a batch that it has already', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 1, plainFlows(10, 7, NOW)));
    const { acknowledged } = commit(batchOf(1, 6, plainFlows(10, 7, NOW)), batchOf(2, 1, plainFlows(10, 7, NOW)));
    expect(acknowledged.map((it) => it.committed)).toEqual([15, 15]);
    storage.close();
    expect(stored(folder)).toHaveLength(15);
  });

  it('counts the events of a hole as lost, by the reason that the agent gives', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 1, plainFlows(10, 7, NOW)), batchOf(2, 31, plainFlows(1, 7, NOW), { holeReason: 2 }));
    storage.close();
    expect(read(folder, (_, inventory) => inventory.losses())).toEqual([{ node: 'n', reason: 2, count: 20 }]);
    expect(stored(folder)).toHaveLength(11);
  });

  it('takes kernel losses as totals, so that one told twice is counted once', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    const more = { kernelLosses: [{ reason: 1, total: 5 }] };
    commit(batchOf(1, 1, plainFlows(1, 7, NOW), more), batchOf(2, 2, plainFlows(1, 7, NOW), more));
    storage.close();
    expect(read(folder, (_, inventory) => inventory.losses())).toEqual([{ node: 'n', reason: 1, count: 5 }]);
  });

  it('refuses a malformed batch whole and stores the ones beside it', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    const ended = { ...columnsOf(plainFlows(3, 7, NOW)), remotePort: [1, 2] };
    const { acknowledged, refused } = commit(batchOf(1, 1, [], { ended }), batchOf(1, 1, plainFlows(2, 7, NOW)));
    expect(refused[0]?.message).toContain('column remotePort has 2 of 3 entries');
    expect(acknowledged).toHaveLength(1);
    storage.close();
    expect(stored(folder)).toHaveLength(2);
  });

  it('remembers how far a node has come after a restart without a clean end', () => {
    const folder = temporaryFolder();
    const { commit } = open(folder);
    commit(batchOf(1, 1, plainFlows(10, 7, NOW)));
    const { storage } = open(folder);
    expect(storage.committed('n', 'boot.1')).toBe(10);
    expect(storage.committed('n', 'boot.2')).toBe(0);
  });

  it('keeps the order of a node whose batches go into two days in turn', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(
      batchOf(1, 1, plainFlows(2, 7, NOW)),
      batchOf(2, 3, plainFlows(2, 7, NOW - DAY_US)),
      batchOf(3, 5, plainFlows(2, 7, NOW)),
    );
    expect(storage.committed('n', 'boot.1')).toBe(6);
    storage.close();
    expect(stored(folder)).toHaveLength(6);
    expect(readdirSync(folder)).toContain(`flows-${dayOf(NOW - DAY_US)}.db`);
  });

  it('is not asked for while its file is being made', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 1, plainFlows(3, 7, NOW)));
    for (const [day, version] of [
      ['2026-03-03', 0],
      ['2026-03-04', 1],
    ] as const) {
      const half = new Sqlite(dayPath(folder, day));
      half.pragma(`user_version = ${version}`);
      half.close();
    }
    expect(read(folder, (_, inventory) => inventory.summary().flows)).toBe(3);
    expect(stored(folder)).toHaveLength(3);
    storage.close();
  });

  it('makes no files for times that cannot be', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 1, [{ cgroup: 7, endUs: 5 }]), batchOf(2, 2, [{ cgroup: 7, endUs: NOW + 9 * DAY_US }]));
    storage.close();
    expect(readdirSync(folder).filter((name) => name.startsWith('flows-'))).toEqual([`flows-${dayOf(NOW)}.db`]);
  });
});

describe('the digest', () => {
  it('is the same whether rows were noted as they came, or read back', () => {
    const sample = (i: number, crowded: boolean) => ({
      cgroup: 7,
      endUs: NOW,
      direction: 1 + (i % 2),
      localPort: i % 2 === 0 ? 1000 + (i % 500) : 80,
      remotePort: i % 2 === 0 ? 443 : 20_000 + (i % 3000),
      remote: [10, 0, crowded ? i >> 8 : 1, crowded ? i & 255 : i % 23],
      rule: i % 4,
      sentBytes: (i % 9) - 1,
      ...(i % 5 === 0 && { name: `n${i % 3}.example.com` }),
      ...((i % 3 === 0 && {
        source: [[10, 0, 0, 9], 30_000 + (i % 700)],
        destination: [[10, 0, 0, 8], 80] as const,
      }) as object),
    });
    const digested = (restartAt: number | undefined, crowded = false) => {
      const folder = temporaryFolder();
      let opened = open(folder);
      for (let from = 0; from < 33_000; from += 1000) {
        if (from === restartAt) {
          opened.storage.close();
          opened = open(folder);
        }
        opened.commit(
          batchOf(
            1,
            from + 1,
            Array.from({ length: 1000 }, (_, i) => sample(from + i, crowded)),
          ),
        );
      }
      while (opened.storage.digest());
      opened.storage.close();
      const day = new Sqlite(dayPath(folder, dayOf(NOW)));
      const found = {
        ports: day.prepare('SELECT port_group, segment, hex(entries) FROM caller_ports ORDER BY 1, 2').raw().all(),
        edges: day.prepare('SELECT * FROM edges').raw().all(),
      };
      day.close();
      return found;
    };
    const noted = digested(undefined);
    expect(noted.ports.length).toBeGreaterThan(10);
    expect(noted.edges.length).toBeGreaterThan(100);
    expect(digested(20_000)).toEqual(noted);
    // More edges than are merged in memory.
    const crowded = digested(undefined, true);
    expect(crowded.edges.length).toBeGreaterThan(8192);
    expect(digested(32_000, true)).toEqual(crowded);
  });
});

describe('open flows', () => {
  const flow = (cookie: number) => ({ cgroup: 7, endUs: NOW, durationUs: 10, end: 0, cookie });
  const report = (...cookies: number[]) => ({
    ended: undefined,
    open: { timeUs: NOW, flows: columnsOf(cookies.map(flow)) },
  });
  const openCount = (folder: string) => read(folder, (reading) => reading.openFlows(EVERYTHING, 100).length);

  it('are replaced by the next report and end with their cookie', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 0, [], report(1, 2, 3)));
    expect(openCount(folder)).toBe(3);
    commit(batchOf(2, 0, [], report(2, 3)));
    expect(openCount(folder)).toBe(2);
    commit(batchOf(3, 1, [{ cgroup: 7, endUs: NOW, cookie: 2 }]));
    expect(openCount(folder)).toBe(1);
    storage.close();
  });

  it('end when their node boots', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    storage.state.hello('n', 'boot.1', '{}', NOW);
    commit(batchOf(1, 0, [], report(1)));
    storage.state.hello('n', 'boot.2', '{}', NOW);
    expect(openCount(folder)).toBe(1);
    storage.state.hello('n', 'later.1', '{}', NOW);
    expect(openCount(folder)).toBe(0);
    storage.close();
  });
});

describe('trouble', () => {
  it('acknowledges nothing on a full disk, and stores everything once there is room', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder);
    commit(batchOf(1, 1, plainFlows(10, 7, NOW)));
    storage.limitPages(dayOf(NOW), 20);
    const batch = batchOf(2, 11, plainFlows(5000, 8, NOW));
    expect(() => commit(batch)).toThrowError(/full/);
    expect(storage.committed('n', 'boot.1')).toBe(10);
    storage.limitPages(dayOf(NOW), 1e6);
    expect(commit(batch).acknowledged).toEqual([{ stream: 1, sequence: 2, committed: 5010 }]);
    storage.close();
    expect(read(folder, (_, inventory) => inventory.summary().flows)).toBe(5010);
  });

  it('sets a damaged day aside, goes on with a new file and deletes nothing', () => {
    const folder = temporaryFolder();
    const first = open(folder);
    first.commit(batchOf(1, 1, plainFlows(10, 7, NOW)));
    first.storage.close();
    writeFileSync(dayPath(folder, dayOf(NOW)), 'this is no database'.repeat(1000));
    const { storage, commit, warn } = open(folder);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('.corrupt-'));
    expect(storage.committed('n', 'boot.1')).toBe(10);
    commit(batchOf(1, 11, plainFlows(3, 7, NOW)));
    storage.close();
    expect(stored(folder)).toHaveLength(3);
    expect(readdirSync(folder).filter((name) => name.includes('.corrupt-'))).toHaveLength(1);
  });

  it('removes days past their retention, and the oldest ones above the size limit, but never today', () => {
    const folder = temporaryFolder();
    const { storage, commit } = open(folder, { retentionDays: 3, maxBytes: 1 });
    for (const [index, ago] of [5, 2, 0].entries())
      commit(batchOf(index + 1, index + 1, plainFlows(1, 7, NOW - ago * DAY_US)));
    expect(storage.retire(NOW)).toEqual([dayOf(NOW - 5 * DAY_US), dayOf(NOW - 2 * DAY_US)]);
    storage.close();
    expect(stored(folder)).toHaveLength(1);
    const again = open(folder);
    expect(again.storage.committed('n', 'boot.1')).toBe(3);
    again.storage.close();
  });
});
