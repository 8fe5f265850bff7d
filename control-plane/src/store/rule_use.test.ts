// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestStore } from '../testing/store.js';
import { RuleUses } from './rule_use.js';

const NOW = Date.parse('2026-03-02T12:20:00Z') * 1000;
const HOUR = 3600e6;
const [ALLOWED, DENIED] = [1, 2];
const SEGMENT = 32_768;

let store: TestStore;
beforeEach(() => {
  store = new TestStore(NOW);
  store.containers('a', { cgroupId: 1, pod: 'web', name: 'nginx' });
});
afterEach(() => store.close());

it('counts the decisions of each rule of a policy, in the roll-ups and behind them', () => {
  const number = (policy: string, rule: string) => store.storage.state.policies.ruleNumber(policy, rule);
  const database = number('shop/web', 'database');
  const other = number('shop/web', 'other');
  const foreign = number('shop/b', 'database');
  const old = Array.from({ length: SEGMENT }, (_, index) => ({
    cgroup: 1,
    endUs: NOW - 3 * HOUR + index,
    verdict: ALLOWED,
    rule: database,
  }));
  for (let at = 0; at < old.length; at += 1024) store.add('a', old.slice(at, at + 1024));
  store.digest();
  store.add('a', [
    { cgroup: 1, endUs: NOW - 5, verdict: DENIED, end: 2, rule: database },
    { cgroup: 1, endUs: NOW - 4, verdict: DENIED, end: 2, rule: other },
    { cgroup: 1, endUs: NOW - 3, verdict: DENIED, end: 2, rule: foreign },
  ]);
  const uses = new RuleUses(store.connections);
  expect(uses.of('shop/web', NOW - 24 * HOUR)).toEqual([
    { rule: 'database', allowed: SEGMENT, denied: 1, audit: 0, firstUs: NOW - 3 * HOUR, lastUs: NOW - 5 },
    { rule: 'other', allowed: 0, denied: 1, audit: 0, firstUs: NOW - 4, lastUs: NOW - 4 },
  ]);
  expect(uses.of('shop/web', NOW - HOUR / 4)[0]).toMatchObject({ allowed: 0, denied: 1 });
  expect(uses.of('shop/nobody', 0)).toEqual([]);
});
