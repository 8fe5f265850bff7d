// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mapOf } from '../flows/map.js';
import type { SampleFlow } from '../testing/batches.js';
import { TestStore } from '../testing/store.js';

const NOW = Date.parse('2026-03-02T12:20:00Z') * 1000;
const HOUR = 3600e6;
const ALL = { sql: [], values: [] };

let store: TestStore;
beforeEach(() => {
  store = new TestStore(NOW);
  store.containers(
    'a',
    {
      cgroupId: 1,
      pod: 'web-5d4f8c7b9d-x2x7k',
      name: 'nginx',
      addresses: ['10.1.0.7'],
      labels: { 'pod-template-hash': '5d4f8c7b9d' },
    },
    {
      cgroupId: 2,
      pod: 'web-5d4f8c7b9d-zzzzz',
      name: 'nginx',
      addresses: ['10.1.0.8'],
      labels: { 'pod-template-hash': '5d4f8c7b9d' },
    },
    { cgroupId: 9, pod: 'db', name: 'postgres', addresses: ['10.1.0.9'] },
  );
});
afterEach(() => store.close());

const call = (cgroup: number, endUs: number, more: Partial<SampleFlow> = {}): SampleFlow => ({
  cgroup,
  endUs,
  local: [10, 1, 0, 7],
  remote: [10, 96, 0, 10],
  remotePort: 5432,
  source: [[10, 1, 0, 7], 40000],
  destination: [[10, 1, 0, 9], 15432],
  payload: 6,
  ...more,
});

describe('the map', () => {
  it('sums up calls of all pods of a workload, through the service, to the container that answered', () => {
    store.add('a', [call(1, NOW - 10), call(2, NOW - 9), call(2, NOW - 8, { verdict: 2, end: 2, rule: 2 })]);
    const { edges } = store.edges.edges({ sinceUs: NOW - HOUR, untilUs: NOW }, ALL);
    const calls = mapOf(edges);
    expect(calls).toMatchObject([
      {
        caller: { name: 'shop/web/nginx', kind: 'container' },
        called: { name: 'shop/db/postgres', kind: 'container' },
        service: '10.96.0.10',
        port: 5432,
        flows: 2,
        sentBytes: 198,
        receivedBytes: 400,
        payloads: ['postgres'],
        plaintext: true,
        verdict: 'allowed',
        rule: null,
      },
      { flows: 1, verdict: 'denied', rule: '(incomplete rule set)' },
    ]);
  });

  it('does not count twice what both ends have on record, and names callers that nobody knows', () => {
    const accepted = { cgroup: 9, endUs: NOW - 5, direction: 2, local: [10, 1, 0, 9], localPort: 15432 };
    store.add('a', [
      call(1, NOW - 10),
      { ...accepted, remote: [10, 1, 0, 7], remotePort: 40000 },
      { ...accepted, remote: [198, 51, 100, 1], remotePort: 40001 },
    ]);
    const calls = mapOf(store.edges.edges({ sinceUs: NOW - HOUR, untilUs: NOW }, ALL).edges);
    expect(calls.map((it) => [it.caller.name, it.called.name, it.port, it.flows])).toEqual([
      ['198.51.100.1', 'shop/db/postgres', 15432, 1],
      ['shop/web/nginx', 'shop/db/postgres', 5432, 1],
    ]);
  });
});

it('counts each flow once, whether its hour is taken whole, in part or is not summed up yet', () => {
  const times = Array.from({ length: 100_000 }, (_, i) => NOW - 5 * HOUR + i * ((5 * HOUR) / 100_000));
  store.add(
    'a',
    times.map((endUs) => call(1, endUs)),
  );
  store.digest();
  store.add('a', [call(1, NOW - 1), call(1, NOW - 2.5 * HOUR)]);
  const all = [...times, NOW - 1, NOW - 2.5 * HOUR];
  for (const [sinceUs, untilUs] of [
    [NOW - 6 * HOUR, NOW],
    [NOW - 3.3 * HOUR, NOW - 0.4 * HOUR],
    [NOW - 2.6 * HOUR, NOW - 2.4 * HOUR],
    [NOW - 4 * HOUR - 20 * 60e6, NOW - 20 * 60e6 - 1],
    [NOW - 1, NOW],
  ] as const) {
    const { edges } = store.edges.edges({ sinceUs, untilUs }, ALL);
    const wanted = all.filter((us) => us >= sinceUs && us <= untilUs).length;
    expect(edges.reduce((sum, edge) => sum + edge.flows, 0)).toBe(wanted);
  }
});
