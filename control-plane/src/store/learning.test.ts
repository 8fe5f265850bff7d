// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SampleFlow } from '../testing/batches.js';
import { TestStore } from '../testing/store.js';
import { Learning } from './learning.js';

const NOW = Date.parse('2026-03-02T12:20:00Z') * 1000;
const HOUR = 3600e6;
const TIMES = { sinceUs: NOW - 24 * HOUR, untilUs: NOW };
const [EGRESS, FAILED] = [1, 3];

let store: TestStore;
let learning: Learning;
beforeEach(() => {
  store = new TestStore(NOW);
  learning = new Learning(store.connections, store.directory, store.reading, store.edges, store.inventory);
  store.containers(
    'a',
    { cgroupId: 1, pod: 'web', name: 'nginx', labels: { app: 'web' }, addresses: ['10.1.0.7'] },
    { cgroupId: 2, pod: 'other', name: 'nginx', namespace: 'pay', addresses: ['10.1.0.8'] },
    { cgroupId: 9, pod: 'db', name: 'postgres', labels: { app: 'db' }, addresses: ['10.1.0.9'] },
  );
});
afterEach(() => store.close());

const call = (more: Partial<SampleFlow> = {}): SampleFlow => ({
  cgroup: 1,
  endUs: NOW - HOUR,
  remote: [10, 1, 0, 9],
  remotePort: 5432,
  ...more,
});
const history = (namespace = 'shop') => learning.history(TIMES, { namespace }, NOW);

describe('the history to learn from', () => {
  it('has sums of the flows of a namespace, with labels of both ends', () => {
    store.add('a', [call(), call({ endUs: NOW - 2 * HOUR }), call({ cgroup: 2 })]);
    store.digest();
    const { seen, coverage } = history();
    expect(seen).toMatchObject([
      {
        own: { namespace: 'shop', pod: 'web', container: 'nginx', labels: { app: 'web' } },
        peer: { pod: 'db', container: 'postgres', labels: { app: 'db' } },
        direction: 'egress',
        port: 5432,
        flows: 2,
        answered: true,
        firstUs: NOW - 2 * HOUR,
        lastUs: NOW - HOUR,
      },
    ]);
    expect(coverage).toMatchObject({ firstUs: NOW - 2 * HOUR, lastUs: NOW - HOUR, lost: [], wrongClock: 0 });
  });

  it('keeps apart what nobody answered, whether its hour is summed up already or not', () => {
    store.add('a', [call(), call({ end: FAILED })]);
    expect(
      history()
        .seen.map((it) => it.answered)
        .sort(),
    ).toEqual([false, true]);
    store.digest();
    expect(history().seen.map((it) => [it.answered, it.flows])).toEqual(
      expect.arrayContaining([
        [true, 1],
        [false, 1],
      ]),
    );
  });

  it('has connections that are open, from their beginning', () => {
    store.open('a', [call({ end: 0, direction: EGRESS, endUs: NOW, durationUs: 5 * HOUR })]);
    expect(history().seen).toMatchObject([
      { port: 5432, peer: { container: 'postgres' }, flows: 1, firstUs: NOW - 5 * HOUR, lastUs: NOW },
    ]);
  });

  it('counts what a clock that has jumped has dated', () => {
    store.add('a', [call()]);
    store.add('a', [call({ endUs: NOW + 50 * HOUR }), call({ endUs: NOW - 900 * HOUR })]);
    const { coverage, seen } = history();
    expect(coverage).toMatchObject({ wrongClock: 2, firstUs: NOW - HOUR, lastUs: NOW - HOUR });
    expect(seen.map((it) => it.flows)).toEqual([1]);
  });

  it('knows since when a node is silent, and that there is nothing', () => {
    expect(history().coverage).toMatchObject({ firstUs: null, lastUs: null });
    store.add('a', [call({ endUs: NOW - 3 * HOUR })]);
    const later = learning.history({ sinceUs: TIMES.sinceUs, untilUs: NOW + HOUR }, { namespace: 'shop' }, NOW + HOUR);
    expect(later.coverage.silent).toMatchObject([{ node: 'a' }]);
  });
});
