// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestStore } from '../testing/store.js';
import { Drifting } from './drifting.js';
import { Learning } from './learning.js';
import { RuleUses } from './rule_use.js';

const NOW = Date.parse('2026-03-02T12:20:00Z') * 1000;
const HOUR = 3600e6;

let store: TestStore;
let drifting: Drifting;
beforeEach(() => {
  store = new TestStore(NOW);
  const learning = new Learning(store.connections, store.directory, store.reading, store.edges, store.inventory);
  drifting = new Drifting(store.directory, learning, new RuleUses(store.connections));
});
afterEach(() => store.close());

it('tells who had an address at the first flow, where that was somebody else than at the last', () => {
  const at = { addresses: ['10.1.0.9'] };
  store.containers('a', { cgroupId: 1, pod: 'web', name: 'nginx', addresses: ['10.1.0.7'] });
  store.containers('a', { cgroupId: 8, pod: 'db', name: 'main', ...at, createdUs: NOW - 20 * HOUR });
  const call = (endUs: number) => ({ cgroup: 1, endUs, remote: [10, 1, 0, 9], remotePort: 5432 });
  store.add('a', [call(NOW - 10 * HOUR)]);
  store.storage.state.transaction(() =>
    store.storage.state.updateContainers('a', 'boot.1', [], [8], false, NOW - 5 * HOUR),
  );
  store.containers('a', { cgroupId: 9, pod: 'mail', name: 'main', ...at, createdUs: NOW - 4 * HOUR });
  store.add('a', [call(NOW - HOUR)]);
  const times = { sinceUs: NOW - 24 * HOUR, untilUs: NOW, unusedSinceUs: NOW - 48 * HOUR };
  const { edges, unusedFirstUs, rules } = drifting.history(times, { namespace: 'shop' }, ['shop/none'], NOW);
  expect(edges).toMatchObject([{ peer: { pod: 'mail' }, firstPeer: { pod: 'db' }, flows: 2 }]);
  expect(unusedFirstUs).toBe(NOW - 10 * HOUR);
  expect(rules).toEqual([]);
});
