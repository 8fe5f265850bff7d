// SPDX-License-Identifier: Apache-2.0
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestStore } from '../testing/store.js';
import { dayOf, dayPath } from './days.js';
import { keepRollUp } from './roll_ups.js';
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

it('knows when each rule decided last, by open connections and by sums of days that are gone, too', () => {
  const number = (rule: string) => store.storage.state.policies.ruleNumber('shop/web', rule, NOW - 9 * HOUR);
  const [old, today, open] = ['old', 'today', 'open'].map(number);
  number('never');
  store.storage.state.policies.ruleNumber('shop/b', 'other');
  const flow = (rule: number | undefined, endUs: number) => ({ cgroup: 1, endUs, verdict: ALLOWED, rule: rule ?? 0 });
  const before = NOW - 5 * 24 * HOUR;
  store.add('a', [flow(old, before)]);
  store.add('a', [flow(today, NOW - 3 * HOUR), flow(today, NOW - 2 * HOUR)]);
  store.open('a', [{ ...flow(open, NOW), end: 0 }]);
  const uses = new RuleUses(store.connections);
  const last = (sinceUs: number) =>
    Object.fromEntries(uses.last(['shop/web'], sinceUs, NOW).map(({ rule, lastUs }) => [rule, lastUs]));
  const all = { never: null, old: before, open: NOW, today: NOW - 2 * HOUR };
  expect(last(NOW - 30 * 24 * HOUR)).toEqual(all);
  expect(last(NOW - 24 * HOUR)).toEqual({ ...all, old: null });
  keepRollUp(store.connections.folder, dayOf(before));
  rmSync(dayPath(store.connections.folder, dayOf(before)));
  expect(last(NOW - 30 * 24 * HOUR)).toEqual(all);
  expect(uses.last(['shop/web'], 0, NOW)[0]).toMatchObject({ rule: 'never', createdUs: NOW - 9 * HOUR });
});
