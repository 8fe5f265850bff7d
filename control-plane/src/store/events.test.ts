// SPDX-License-Identifier: Apache-2.0
//
// Batches that stand for more events than they have rows, that come from an earlier boot, and what they lost.
import { describe, expect, it } from 'vitest';
import { parseFilter } from '../flows/filter.js';
import { batchOf, columnsOf, plainFlows } from '../testing/batches.js';
import { TestStore } from '../testing/store.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const RING_FULL = 1;
const SPOOL_FULL = 5;
const OVERLAP = 7;

function open(use: (store: TestStore, commit: (...batches: Uint8Array[]) => void) => void): void {
  const store = new TestStore(NOW);
  const commit = (...batches: Uint8Array[]) => {
    const { refused } = store.storage.commit(
      batches.map((data) => ({ stream: 1, node: 'n', epoch: 'boot.1', data })),
      NOW,
    );
    if (refused[0]) throw new Error(refused[0].message);
  };
  try {
    use(store, commit);
  } finally {
    store.close();
  }
}

/** Two rows: one of 5 events, one of 1. */
const merged = (first: number, more: object = {}, events = 6) =>
  batchOf(1, first, [], {
    ended: { ...columnsOf(plainFlows(2, 7, NOW)), merged: { row: [0], count: [5] } },
    events,
    ...more,
  });
const flowsOf = (store: TestStore) => store.reading.flows(parseFilter({}, NOW), 1000, null).flows;
const storedIn = (store: TestStore) => store.inventory.stored().reduce((sum, { flows }) => sum + flows, 0);

describe('merged rows', () => {
  it('count as what they stand for', () => {
    open((store, commit) => {
      commit(merged(1), batchOf(2, 7, plainFlows(3, 7, NOW)));
      expect(flowsOf(store).map(({ count }) => count)).toEqual([1, 1, 1, 1, 5]);
      expect(storedIn(store)).toBe(9);
      expect(store.storage.committed('n', 'boot.1')).toBe(9);
      expect(store.inventory.losses()).toEqual([]);
    });
  });

  it.each([false, true])('are in the sums, digested: %s', (digested) => {
    open((store, commit) => {
      commit(merged(1));
      if (digested) {
        commit(batchOf(2, 7, plainFlows(32_768, 8, NOW)));
        store.digest();
      }
      const { edges } = store.edges.edges({ sinceUs: NOW - 3600e6, untilUs: NOW + 3600e6 }, { sql: [], values: [] });
      expect(edges.find(({ container }) => container.cgroupId === '7')?.flows).toBe(6);
    });
  });

  it('are dropped as a whole when they come again', () => {
    open((store, commit) => {
      commit(merged(1));
      commit(merged(1));
      expect(storedIn(store)).toBe(6);
      expect(store.inventory.losses()).toEqual([]);
    });
  });

  it('are counted lost where a part of their events is stored already', () => {
    open((store, commit) => {
      commit(batchOf(1, 1, plainFlows(2, 7, NOW)));
      commit(merged(1), batchOf(2, 7, plainFlows(1, 7, NOW)));
      expect(storedIn(store)).toBe(3);
      expect(store.inventory.losses()).toEqual([{ node: 'n', reason: OVERLAP, count: 4 }]);
      expect(store.storage.committed('n', 'boot.1')).toBe(7);
    });
  });

  it.each([
    ['that are not all counted', { events: 7 }, /covers 7 events and counts 6/],
    ['without the number of events', { events: 0 }, /events is missing/],
    [
      'of one event',
      { ended: { ...columnsOf(plainFlows(2, 7, NOW)), merged: { row: [0], count: [1] } }, events: 2 },
      /merged.count is 1/,
    ],
    [
      'outside of the batch',
      { ended: { ...columnsOf(plainFlows(2, 7, NOW)), merged: { row: [2], count: [2] } }, events: 3 },
      /rows of merged/,
    ],
  ])('are refused: %s', (_, more, message) => {
    open((_store, commit) => expect(() => commit(merged(1, more))).toThrowError(message));
  });
});

describe('events that an agent dropped', () => {
  it('are counted with their reason and their time, once', () => {
    open((store, commit) => {
      const dropped = [{ reason: SPOOL_FULL, count: 94, firstUs: NOW - 9e6, lastUs: NOW - 8e6 }];
      const batch = merged(1, { dropped }, 100);
      commit(batch);
      commit(batch, batchOf(2, 101, plainFlows(1, 7, NOW)));
      expect(storedIn(store)).toBe(7);
      expect(store.inventory.gaps(null, 0, 10)).toEqual([
        {
          node: 'n',
          epoch: 'boot.1',
          reason: SPOOL_FULL,
          count: 94,
          firstUs: NOW - 9e6,
          lastUs: NOW - 8e6,
          noticedUs: NOW,
        },
      ]);
    });
  });

  it('are told from holes between batches', () => {
    open((store, commit) => {
      const hole = { holeReason: SPOOL_FULL, holeFirstUs: NOW - 5e6, holeLastUs: NOW - 4e6 };
      commit(batchOf(1, 11, plainFlows(1, 7, NOW), { ...hole, kernelLosses: [{ reason: RING_FULL, total: 3 }] }));
      const gaps = store.inventory.gaps('n', NOW - 1, 10);
      expect(gaps.map(({ reason, count, firstUs }) => ({ reason, count, firstUs }))).toEqual(
        expect.arrayContaining([
          { reason: SPOOL_FULL, count: 10, firstUs: NOW - 5e6 },
          { reason: RING_FULL, count: 3, firstUs: NOW },
        ]),
      );
      expect(store.inventory.gaps('other', 0, 10)).toEqual([]);
      expect(store.inventory.gaps(null, NOW + 1, 10)).toEqual([]);
    });
  });
});

describe('a batch of an earlier boot', () => {
  const old = (sequence: number, first: number, more: object = {}) =>
    batchOf(sequence, first, [{ cgroup: 7, endUs: NOW - 60e6, cookie: 1 }], { epoch: 'earlier.1', ...more });
  const named = { containers: { upserted: [{ cgroupId: 7, name: 'web', pod: 'shop', image: 'web:1' }] } };

  it('has indexes and containers of its own', () => {
    open((store, commit) => {
      commit(batchOf(1, 1, plainFlows(5, 7, NOW)), old(2, 1), old(3, 2), batchOf(4, 6, plainFlows(1, 7, NOW)));
      commit(old(5, 1));
      expect(store.storage.committed('n', 'boot.1')).toBe(6);
      expect(store.storage.committed('n', 'earlier.1')).toBe(2);
      expect(storedIn(store)).toBe(8);
      expect(store.inventory.losses()).toEqual([]);
    });
  });

  it('brings the names of containers that are gone', () => {
    open((store, commit) => {
      store.containers('n', { cgroupId: 7, name: 'of this boot' });
      commit(old(1, 1), batchOf(2, 0, [], { epoch: 'earlier.1', ...named }));
      expect(flowsOf(store)[0]).toMatchObject({ container: 'web', pod: 'shop' });
      const all = store.inventory.containers(true).map(({ container, goneUs }) => [container, goneUs !== null]);
      expect(all).toEqual(
        expect.arrayContaining([
          ['web', true],
          ['of this boot', false],
        ]),
      );
    });
  });

  it('does not bring back to life, or rename, what is known', () => {
    open((store, commit) => {
      store.containers('n', { cgroupId: 7, name: 'living', pod: 'p', image: 'i' });
      const late = { containers: { upserted: [{ cgroupId: 7, name: 'as it was called first' }] } };
      commit(batchOf(1, 0, [], { epoch: 'boot.1', ...late }));
      expect(store.inventory.containers(false).map(({ container }) => container)).toEqual(['living']);
    });
  });

  it('does not end what is open now', () => {
    open((store, commit) => {
      store.storage.state.transaction(() => store.storage.state.hello('n', 'boot.1', '{}', NOW));
      const flow = { cgroup: 7, endUs: NOW, durationUs: 10, end: 0, cookie: 1 };
      commit(batchOf(1, 0, [], { open: { timeUs: NOW, flows: columnsOf([flow]) } }));
      commit(old(2, 1));
      expect(store.reading.openFlows(parseFilter({}, NOW), 10)).toHaveLength(1);
    });
  });
});
