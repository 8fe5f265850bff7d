// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { Cluster } from '../rollout/cluster.js';
import { JOBS, ownerOf, Workloads } from './workloads.js';

const ownedBy = (kind: string, name: string, labels: Record<string, string> = {}) =>
  ownerOf({
    metadata: {
      labels,
      ownerReferences: [
        { kind: 'Other', name: 'x' },
        { kind, name, controller: true },
      ],
    },
  });

it.each([
  ['ReplicaSet', 'web-7d4b9c', { 'pod-template-hash': '7d4b9c' }, { workload: 'web' }],
  // The pod's own name is cut at 58 characters, and ends before the hash.
  ['ReplicaSet', `${'a'.repeat(52)}-7d4b9c`, { 'pod-template-hash': '7d4b9c' }, { workload: 'a'.repeat(52) }],
  ['ReplicaSet', 'shop-5f', { 'rollouts-pod-template-hash': '5f' }, { workload: 'shop' }],
  ['ReplicaSet', 'web-7d4b9c', {}, { workload: 'web-7d4b9c' }],
  ['ReplicaSet', 'web-7d4b9c', { 'pod-template-hash': 'b9c' }, { workload: 'web-7d4b9c' }],
  ['StatefulSet', 'db', {}, { workload: 'db' }],
  ['DaemonSet', 'log-2x', {}, { workload: 'log-2x' }],
  ['Job', 'backup-29038475', {}, { job: 'backup-29038475' }],
  ['Node', 'n1', {}, null],
])('%s %s with %j: %j', (kind, name, labels, expected) => {
  expect(ownedBy(kind, name, labels as Record<string, string>)).toEqual(expected);
});

it('an owner that is not the controller says nothing', () => {
  expect(ownerOf({ metadata: { ownerReferences: [{ kind: 'StatefulSet', name: 'db' }] } })).toBeNull();
  expect(ownerOf({ metadata: {} })).toBeNull();
});

it('of Jobs, those of a CronJob count, whatever their names are', () => {
  const job = (kind: string) => ({ metadata: { ownerReferences: [{ kind, name: 'nightly', controller: true }] } });
  expect(JOBS.read(job('CronJob'))).toBe('nightly');
  expect(JOBS.read(job('Workflow'))).toBeNull();
  expect(JOBS.read({ metadata: { name: 'nightly-29038475' } })).toBeNull();
});

it('tells of a Job only when it is known whose it is, and corrects what it told', () => {
  const cluster = new Cluster();
  const workloads = new Workloads(cluster);
  workloads.replacePods(
    new Map([
      ['shop/run-1', { job: 'run' }],
      ['shop/once-1', { job: 'once' }],
    ]),
  );
  expect(cluster.workload('shop/run-1')).toBeUndefined();
  expect(workloads.replaceJobs(new Map([['shop/run', 'nightly']]))).toBe(true);
  expect(cluster.workload('shop/run-1')).toBe('nightly');
  expect(cluster.workload('shop/once-1')).toBe('once');
  // The watch of pods can be ahead of that of Jobs. A Job of that name in another namespace is another.
  workloads.putPod('shop/next-1', { job: 'next' });
  workloads.putJob('bank/next', 'hourly');
  expect(cluster.workload('shop/next-1')).toBe('next');
  workloads.putJob('shop/next', 'nightly');
  expect(cluster.workload('shop/next-1')).toBe('nightly');
});

it('a pod that outlives its Job for a moment stays what it was, and a pod that is gone is forgotten', () => {
  const cluster = new Cluster();
  const workloads = new Workloads(cluster);
  workloads.replaceJobs(new Map([['shop/run', 'nightly']]));
  workloads.putPod('shop/run-1', { job: 'run' });
  workloads.removeJob('shop/run');
  workloads.putPod('shop/run-1', { job: 'run' });
  expect(cluster.workload('shop/run-1')).toBe('nightly');
  expect(workloads.removePod('shop/run-1')).toBe(true);
  expect(cluster.workload('shop/run-1')).toBeUndefined();
});

it('after a restart, what is gone is forgotten, and what waits for its Job is as before', () => {
  const cluster = new Cluster();
  cluster.load([
    { kind: 'workload', key: 'shop/run-1', facts: '"nightly"' },
    { kind: 'workload', key: 'shop/old-1', facts: '"nightly"' },
  ]);
  new Workloads(cluster).replacePods(new Map([['shop/run-1', { job: 'run' }]]));
  expect(cluster.workload('shop/run-1')).toBe('nightly');
  expect(cluster.workload('shop/old-1')).toBeUndefined();
});
