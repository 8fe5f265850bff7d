// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from 'vitest';
import { parseFilter } from '../flows/filter.js';
import { flowId } from '../flows/record.js';
import type { SampleFlow } from '../testing/batches.js';
import { TestStore } from '../testing/store.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const EVERYTHING = parseFilter({}, NOW);
const [EGRESS, INGRESS] = [1, 2];
const POD = [10, 1, 0, 7];
const NODE = [192, 168, 0, 1];
const SERVICE = [10, 96, 0, 10];
const DATABASE = [10, 1, 0, 9];

let store: TestStore;
beforeEach(() => {
  store = new TestStore(NOW);
  store.containers(
    'a',
    { cgroupId: 1, pod: 'web', name: 'nginx', addresses: ['10.1.0.7'] },
    { cgroupId: 2, pod: 'web', name: 'malware', addresses: ['10.1.0.7'] },
  );
  store.containers('b', { cgroupId: 9, pod: 'db', name: 'postgres', addresses: ['10.1.0.9'] });
});
afterEach(() => store.close());

/** A container of `web` calls the database through its service address, and leaves its node under the node's address. */
function call(cgroup: number, port: number, outside: number, more: Partial<SampleFlow> = {}): SampleFlow {
  return {
    cgroup,
    endUs: NOW - 1e6,
    durationUs: 5000,
    direction: EGRESS,
    local: POD,
    localPort: port,
    remote: SERVICE,
    remotePort: 5432,
    source: [NODE, outside],
    destination: [DATABASE, 15432],
    ...more,
  };
}

function served(outside: number, more: Partial<SampleFlow> = {}): SampleFlow {
  return {
    cgroup: 9,
    endUs: NOW - 1e6,
    durationUs: 5000,
    direction: INGRESS,
    local: DATABASE,
    localPort: 15432,
    remote: NODE,
    remotePort: outside,
    sentBytes: 200,
    receivedBytes: 99,
    ...more,
  };
}

function peers(): Record<string, string> {
  const { flows } = store.reading.flows(EVERYTHING, 1000, null);
  const found = store.conversations.peers(flows);
  return Object.fromEntries(
    flows.map((flow, index) => [
      `${flow.container}:${flow.localPort}${flow.localPort === 15432 ? `<${flow.remotePort}` : ''}`,
      `${found[index]?.name} ${found[index]?.how}`,
    ]),
  );
}

it('joins both records of a connection through a service address and masquerade', () => {
  store.add('a', [call(1, 40001, 61001), call(2, 40002, 61002)]);
  store.add('b', [served(61001), served(61002)]);
  expect(peers()).toEqual({
    'nginx:40001': 'shop/db/postgres conversation',
    'malware:40002': 'shop/db/postgres conversation',
    'postgres:15432<61001': 'shop/web/nginx conversation',
    'postgres:15432<61002': 'shop/web/malware conversation',
  });
});

it('tells apart 1,000 connections of each of two clients behind one address', () => {
  const outside = (index: number) => 20_000 + ((index * 7919) % 40_000);
  const all = Array.from({ length: 2000 }, (_, index) => index);
  store.add(
    'a',
    all.map((index) => call(1 + (index % 2), 1024 + index, outside(index))),
  );
  store.add(
    'b',
    all.map((index) => served(outside(index))),
  );
  const flows = store.reading.flows(parseFilter({ direction: 'ingress' }, NOW), 5000, null).flows;
  const found = store.conversations.peers(flows);
  const wrong = flows.filter((flow, index) => {
    const caller = all.find((it) => outside(it) === flow.remotePort) ?? 0;
    return found[index]?.container !== (caller % 2 === 0 ? 'nginx' : 'malware');
  });
  expect(flows).toHaveLength(2000);
  expect(wrong).toEqual([]);
});

it('joins records that come minutes apart, from nodes whose clocks differ, also across midnight', () => {
  const midnight = Date.parse('2026-03-02T00:00:00Z') * 1000;
  store.add('a', [call(1, 40001, 61001, { endUs: midnight - 30e6 })]);
  store.add(
    'a',
    Array.from({ length: 40_000 }, (_, i) =>
      call(2, 1024 + (i % 30_000), 1024 + (i % 30_000), { endUs: midnight - 29e6 }),
    ),
  );
  store.digest();
  store.add('b', [served(61001, { endUs: midnight + 200e6 })]);
  const { flows } = store.reading.flows(parseFilter({ direction: 'ingress' }, NOW), 10, null);
  expect(store.conversations.peers(flows)[0]).toMatchObject({ name: 'shop/web/nginx', how: 'conversation' });
});

it('prefers equal byte counts when ports were used again', () => {
  store.add('a', [
    call(1, 40001, 61001, { endUs: NOW - 100e6, sentBytes: 7, receivedBytes: 8 }),
    call(2, 40001, 61001, { endUs: NOW - 10e6, sentBytes: 70, receivedBytes: 80 }),
  ]);
  store.add('b', [served(61001, { endUs: NOW - 11e6, sentBytes: 8, receivedBytes: 7 })]);
  const { flows } = store.reading.flows(parseFilter({ direction: 'ingress' }, NOW), 10, null);
  expect(store.conversations.peers(flows)[0]?.name).toBe('shop/web/nginx');
});

it('does not join what is too far apart, refused, or on the loopback of another pod', () => {
  const loopback = { local: [127, 0, 0, 1], remote: [127, 0, 0, 1], localPort: 40001, remotePort: 80 };
  store.add('a', [
    { cgroup: 1, endUs: NOW - 700e6, local: POD, localPort: 40009, remote: DATABASE, remotePort: 15432 },
    {
      cgroup: 1,
      endUs: NOW - 1e6,
      verdict: 2,
      end: 2,
      local: POD,
      localPort: 40010,
      remote: DATABASE,
      remotePort: 15432,
    },
    { cgroup: 1, endUs: NOW - 1e6, ...loopback },
  ]);
  store.add('b', [
    served(40009, { remote: POD }),
    served(40010, { remote: POD }),
    { cgroup: 9, endUs: NOW - 1e6, direction: INGRESS, ...loopback, localPort: 80, remotePort: 40001 },
  ]);
  const { flows } = store.reading.flows(EVERYTHING, 100, null);
  expect(store.conversations.partners(flows).size).toBe(0);
});

it('joins the two ends of loopback inside one pod', () => {
  const loopback = { local: [127, 0, 0, 1], remote: [127, 0, 0, 1] };
  store.add('a', [
    { cgroup: 2, endUs: NOW - 1e6, ...loopback, localPort: 40001, remotePort: 80 },
    {
      cgroup: 1,
      endUs: NOW - 1e6,
      direction: INGRESS,
      ...loopback,
      localPort: 80,
      remotePort: 40001,
      sentBytes: 200,
      receivedBytes: 99,
    },
  ]);
  expect(peers()).toMatchObject({ 'malware:40001': 'shop/web/nginx conversation' });
});

it('finds the other end among the flows that are still open', () => {
  store.open('b', [served(61001, { end: 0, cookie: 5 })]);
  store.add('a', [call(1, 40001, 61001)]);
  expect(peers()).toEqual({ 'nginx:40001': 'shop/db/postgres conversation' });
});

it('falls back to who listens at the address, and to the pod when that is not known', () => {
  store.containers('b', { cgroupId: 10, pod: 'db', name: 'exporter', addresses: ['10.1.0.9'] });
  const listener = { cgroup: 9, protocol: 6, address: Uint8Array.of(0, 0, 0, 0), port: 15432, processName: 'postgres' };
  store.open('b', [], [listener], NOW - 60e6);
  store.add('a', [
    call(1, 40001, 61001),
    call(1, 40002, 61002, { destination: [DATABASE, 9999] }),
    call(1, 40003, 61003, { destination: [[203, 0, 113, 1], 443] }),
  ]);
  expect(peers()).toEqual({
    'nginx:40001': 'shop/db/postgres listener',
    'nginx:40002': 'shop/db address',
    'nginx:40003': 'undefined undefined',
  });
});

it('gives the record at the other end with its id', () => {
  store.add('a', [call(1, 40001, 61001)]);
  store.add('b', [served(61001)]);
  const [server, client] = store.reading.flows(EVERYTHING, 10, null).flows;
  expect(server && client && store.conversations.partners([client]).get(flowId(client))).toEqual(server);
});
