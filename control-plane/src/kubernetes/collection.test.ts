// SPDX-License-Identifier: Apache-2.0
//
// Against a stand-in for the API server (testing/kubernetes.ts). No Kubernetes runs here.
import { afterEach, expect, it, vi } from 'vitest';
import { createLogger } from '../logger.js';
import { StandInApi } from '../testing/kubernetes.js';
import { KubernetesApi } from './api.js';
import { Backoff } from './backoff.js';
import { Collection, type CollectionTimes } from './collection.js';
import { Lines } from './lines.js';
import type { KubernetesObject, Resource } from './resources.js';

const NODES: Resource<string> = {
  name: 'nodes',
  group: '',
  path: '/api/v1/nodes',
  read({ metadata }) {
    if (metadata?.name === 'unreadable') throw new Error('it makes no sense');
    return metadata?.labels?.colour ?? null;
  },
};
const FAST: CollectionTimes = { firstMs: 20, longestMs: 100, watchMs: 60_000, relistMs: 3600_000 };
const node = (name: string, colour?: string): KubernetesObject => ({
  metadata: { name, ...(colour !== undefined && { labels: { colour } }) },
});

const open: Collection<string>[] = [];
afterEach(async () => {
  for (const it of open.splice(0)) await it.close();
});

function follow(api: StandInApi, times = FAST) {
  const seen = new Map<string, string>();
  const sink = {
    replace(all: ReadonlyMap<string, string>) {
      seen.clear();
      for (const [key, colour] of all) seen.set(key, colour);
    },
    put: (key: string, colour: string) => seen.set(key, colour),
    remove: (key: string) => seen.delete(key),
  };
  const collection = new Collection(new KubernetesApi(api.options), NODES, sink, createLogger('silent'), times);
  open.push(collection);
  collection.start();
  return { collection, seen };
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 15_000, interval: 20 });
const lists = (api: StandInApi) => api.asked.filter((it) => it.startsWith('GET') && !it.includes('watch=true'));

it('lists in pages, then follows what is added, changed and deleted', async () => {
  const api = await StandInApi.start();
  api.pageSize = 2;
  for (const name of ['a', 'b', 'c', 'd', 'e']) api.put('nodes', node(name, 'red'));
  const { collection, seen } = follow(api);
  await eventually(() => expect(api.watching('nodes')).toBe(1));
  expect(lists(api).length).toBe(3);
  expect([...seen.keys()]).toEqual(['/a', '/b', '/c', '/d', '/e']);
  api.put('nodes', node('f', 'blue'));
  api.put('nodes', node('a', 'green'));
  api.remove('nodes', '', 'b');
  // It counts no longer.
  api.put('nodes', node('c'));
  await eventually(() =>
    expect(Object.fromEntries(seen)).toEqual({ '/a': 'green', '/d': 'red', '/e': 'red', '/f': 'blue' }),
  );
  expect(collection).toMatchObject({ state: 'current', problem: null, size: 4 });
});

it('goes on from a bookmark when a watch ends, without a new list', async () => {
  const api = await StandInApi.start();
  const { collection, seen } = follow(api);
  await eventually(() => expect(api.watching('nodes')).toBe(1));
  api.bookmark('nodes');
  const version = api.put('nodes', node('a', 'red')).metadata?.resourceVersion;
  await eventually(() => expect(seen.size).toBe(1));
  api.endWatches();
  await eventually(() => expect(api.watching('nodes')).toBe(1));
  expect(api.asked.at(-1)).toContain(`resourceVersion=${version}`);
  expect(lists(api).length).toBe(1);
  expect(collection.counts).toMatchObject({ lists: 1, watches: 2, events: 1 });
});

it('lists anew when its version was forgotten, and misses no deletion', async () => {
  const api = await StandInApi.start();
  for (const name of ['a', 'b']) api.put('nodes', node(name, 'red'));
  const { collection, seen } = follow(api);
  await eventually(() => expect(api.watching('nodes')).toBe(1));
  await api.stop();
  api.remove('nodes', '', 'a');
  api.put('nodes', node('c', 'red'));
  api.compact();
  await api.startAgain();
  await eventually(() => expect([...seen.keys()]).toEqual(['/b', '/c']));
  expect(collection.counts).toMatchObject({ forgotten: 1, lists: 2 });
});

it('keeps what it knew while nobody answers, says so, and comes back by itself', async () => {
  const api = await StandInApi.start();
  api.put('nodes', node('a', 'red'));
  const { collection, seen } = follow(api);
  await eventually(() => expect(api.watching('nodes')).toBe(1));
  await api.stop();
  await eventually(() => expect(collection.state).toBe('unreachable'));
  expect(seen.size).toBe(1);
  api.put('nodes', node('b', 'red'));
  await api.startAgain();
  await eventually(() => expect([...seen.keys()]).toEqual(['/a', '/b']));
  expect(collection).toMatchObject({ state: 'current', problem: null });
  // The version was still known.
  expect(collection.counts.lists).toBe(1);
});

it('names the right that is missing, and the definition', async () => {
  const api = await StandInApi.start();
  api.forbidden.add('nodes');
  const { collection } = follow(api);
  await eventually(() => expect(collection.state).toBe('forbidden'));
  expect(collection.problem).toMatch(/missing RBAC: .*list and watch on nodes of API group "".*User "cellwall"/);
  expect(collection.isComplete).toBe(false);
  api.forbidden.clear();
  await eventually(() => expect(collection.state).toBe('current'));
  const other = await StandInApi.start();
  other.missing.add('nodes');
  const { collection: missing } = follow(other);
  await eventually(() => expect(missing.state).toBe('missing'));
});

it('one object that cannot be read hides no other', async () => {
  const api = await StandInApi.start();
  api.put('nodes', node('unreadable', 'red'));
  api.put('nodes', node('z', 'red'));
  const { collection, seen } = follow(api);
  await eventually(() => expect([...seen.keys()]).toEqual(['/z']));
  expect(collection.counts.unreadable).toBe(1);
});

it('waits longer after each failure, up to a limit', () => {
  const backoff = new Backoff({ firstMs: 100, longestMs: 1000 });
  expect([0, 1, 2, 3, 4].map(() => backoff.nextMs(1))).toEqual([100, 200, 400, 800, 1000]);
  expect(backoff.nextMs(0)).toBe(500);
  backoff.reset();
  expect(backoff.nextMs(1)).toBe(100);
});

it('puts lines together from parts, and refuses one without an end', () => {
  const found: string[] = [];
  const lines = new Lines(10, (line) => found.push(line));
  for (const part of ['on', 'e\ntwo\n', '\nth', 'ree\n']) lines.add(Buffer.from(part));
  expect(found).toEqual(['one', 'two', 'three']);
  expect(() => lines.add(Buffer.from('12345678901'))).toThrowError(/longer than 10 bytes/);
});
