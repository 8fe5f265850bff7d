// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseEndpoint } from '../flows/filter.js';
import type { SampleFlow } from '../testing/batches.js';
import { TestStore } from '../testing/store.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const POD = [10, 1, 0, 7];

let store: TestStore;
beforeEach(() => {
  store = new TestStore(NOW);
  store.containers(
    'a',
    { cgroupId: 1, pod: 'web', name: 'nginx', addresses: ['10.1.0.7'] },
    { cgroupId: 2, pod: 'web', name: 'malware', addresses: ['10.1.0.7'] },
  );
});
afterEach(() => store.close());

/** Seen outside as 192.168.0.1:outside. */
const masqueraded = (cgroup: number, outside: number, endUs: number, more: Partial<SampleFlow> = {}): SampleFlow => ({
  cgroup,
  endUs,
  durationUs: 10e6,
  local: POD,
  localPort: outside + 1,
  remote: [203, 0, 113, 5],
  remotePort: 443,
  source: [[192, 168, 0, 1], outside],
  destination: [[203, 0, 113, 5], 443],
  ...more,
});

const ask = (address: string, atUs: number, slackUs = 2e6, protocol?: number) =>
  store.who.ask({ ...parseEndpoint(address), protocol, atUs, slackUs });
const names = (address: string, atUs: number, slackUs?: number, protocol?: number) =>
  ask(address, atUs, slackUs, protocol).callers.map((flow) => flow.container);

it.each([false, true])('finds who was behind the address of a node, rows digested: %s', (digested) => {
  const many = Array.from({ length: 70_000 }, (_, i) =>
    masqueraded(1, 20_000 + (i % 30_000), NOW - 3000e6 + i * 10_000),
  );
  store.add('a', many);
  store.add('a', [masqueraded(2, 61_000, NOW - 100e6)]);
  if (digested) store.digest();
  expect(names('192.168.0.1:61000', NOW - 105e6)).toEqual(['malware']);
  expect(names('192.168.0.1:61000', NOW - 50e6)).toEqual([]);
  expect(names('192.168.0.1:61000', NOW - 50e6, 60e6)).toEqual(['malware']);
  // The 30,000 ports came round after 300 s: which of the two is a question of the time.
  const first = NOW - 3000e6 + 17 * 10_000;
  expect(ask('192.168.0.1:20017', first - 1e6).callers.map((flow) => flow.endUs)).toEqual([first]);
  expect(ask('192.168.0.1:20017', first + 299e6).callers.map((flow) => flow.endUs)).toEqual([first + 300e6]);
});

it('finds it by the address that the container itself used, too', () => {
  store.add('a', [masqueraded(2, 61_000, NOW - 100e6), masqueraded(1, 62_000, NOW - 100e6)]);
  expect(names('10.1.0.7:61001', NOW - 105e6)).toEqual(['malware']);
});

it('finds flows that are still open', () => {
  store.open('a', [masqueraded(2, 61_000, NOW - 5e6, { end: 0, cookie: 9, durationUs: 100e6 })], [], NOW - 5e6);
  expect(names('192.168.0.1:61000', NOW)).toEqual(['malware']);
  expect(names('192.168.0.1:61000', NOW - 200e6)).toEqual([]);
});

it('keeps protocols apart when asked to', () => {
  store.add('a', [masqueraded(1, 61_000, NOW), masqueraded(2, 61_000, NOW, { protocol: 17 })]);
  expect(names('192.168.0.1:61000', NOW, 2e6, 17)).toEqual(['malware']);
  expect(names('192.168.0.1:61000', NOW)).toHaveLength(2);
});

it('tells who listened, and until when', () => {
  const listener = {
    cgroup: 1,
    protocol: 6,
    address: new Uint8Array(16),
    port: 80,
    processId: 7,
    processName: 'nginx',
  };
  store.open('a', [], [listener, listener], NOW - 600e6);
  store.open('a', [], [], NOW - 300e6);
  expect(ask('10.1.0.7:80', NOW - 400e6).listeners).toMatchObject([
    { container: { container: 'nginx' }, processName: 'nginx', firstUs: NOW - 600e6, goneUs: NOW - 300e6 },
  ]);
  expect(ask('10.1.0.7:80', NOW).listeners).toEqual([]);
  expect(ask('10.1.0.8:80', NOW - 400e6).listeners).toEqual([]);
});

it('tells who answered for a service address', () => {
  const service = { remote: [10, 96, 0, 10], remotePort: 5432, destination: [[10, 1, 0, 9], 15432] } as const;
  store.add('a', [masqueraded(1, 61_000, NOW - 10e6, service), masqueraded(2, 61_001, NOW - 10e6)]);
  const { called } = ask('10.96.0.10:5432', NOW - 12e6);
  expect(called.map((flow) => [flow.container, flow.translation?.destination.address])).toEqual([
    ['nginx', '10.1.0.9'],
  ]);
});
