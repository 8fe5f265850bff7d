// SPDX-License-Identifier: Apache-2.0
//
// The chart on real Kubernetes of one node: installed, at work, replaced under load, without its API server, and gone again.
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cgroup2Mount } from '../harness/cgroups.js';
import { ROOT } from '../harness/root.js';
import { run, until } from '../harness/run.js';
import { Cluster, PATIENCE_MS, type PodObject } from './cluster.js';
import { buildImages } from './images.js';
import { CHART, install, isEnforcing, nodes, RELEASE, useSecrets } from './install.js';
import { call, counted, countsByWorkload, flows, losses, settled, sum } from './record.js';
import { CRON_CALLS, callers, database, JOB, jobs, namespaces, PORT, readyPods, succeeded } from './workloads.js';

const FIGURES = join(ROOT, 'build/kubernetes/figures.json');
const POLICY = 'nginx-not-to-db';
/** Long enough for an agent to be replaced. */
const LOAD_S = 60;
const RATE = 20;
const OUTAGE_S = 20;

let cluster: Cluster;
let service = '';
let db: PodObject[];
let web: PodObject[];
const figures: Record<string, unknown> = {};

beforeAll(async () => {
  const images = buildImages();
  figures.imageBytes = Object.fromEntries(images.map(({ image, bytes }) => [image, bytes]));
  const beganMs = Date.now();
  cluster = await Cluster.start(images.map(({ archive }) => archive));
  figures.clusterSeconds = (Date.now() - beganMs) / 1000;
}, 600_000);

afterAll(async () => {
  if (!cluster) return;
  cluster.keepState();
  writeFileSync(FIGURES, `${JSON.stringify(figures, null, 2)}\n`);
  await cluster.cleanup.run();
});

const first = (pods: readonly PodObject[]): PodObject => {
  if (!pods[0]) throw new Error('there is no pod');
  return pods[0];
};

const policy = (spec: object): object => ({
  apiVersion: 'cellwall.dev/v1alpha1',
  kind: 'ContainerPolicy',
  metadata: { name: POLICY, namespace: 'shop' },
  spec,
});

const FORBIDDEN = {
  subject: { pods: { matchLabels: { app: 'web' } }, containers: ['nginx'] },
  egress: [
    {
      name: 'not-to-db',
      action: 'Deny',
      to: [
        { services: [{ name: 'db', namespace: 'data' }] },
        { containers: { namespaces: { names: ['data'] }, pods: { matchLabels: { app: 'db' } } } },
      ],
    },
  ],
};

interface PolicyStatus {
  status?: { conditions?: { type: string; status: string; reason: string; message: string }[]; nodes?: unknown };
}
const policyStatus = () => cluster.get<PolicyStatus>('containerpolicy', POLICY, '-n', 'shop').status;
const condition = (type: string) => policyStatus()?.conditions?.find((it) => it.type === type);
const columns = () => cluster.kubectl('get', 'cwpol', '-n', 'shop', '--no-headers').trim().split(/\s+/);

const tcp = (pod: PodObject, container: string, address: string, count: number) =>
  call(cluster, pod, container, ['tcp', address, PORT, count]);

test('the chart is installed by helm, its pods get ready, and the agent enrols with the token of its pod', async () => {
  const { seconds } = await install(cluster);
  figures.installToEnforcingSeconds = seconds;
  expect(nodes(cluster)).toMatchObject([{ name: 'node-1', connected: true, identity: { proof: 'own', error: null } }]);
});

test('calls of each kind of workload are on record by workload and container, exactly', async () => {
  cluster.apply([...namespaces(), ...database()]);
  db = await readyPods(cluster, 'data', 'db', 2);
  service = cluster.get<{ spec: { clusterIP: string } }>('service', 'db', '-n', 'data').spec.clusterIP;
  cluster.apply([...callers(), ...jobs(service)]);
  web = await readyPods(cluster, 'shop', 'web', 3);
  const edge = first(await readyPods(cluster, 'shop', 'edge', 1));
  const probe = first(await readyPods(cluster, 'data', 'probe', 1));
  const direct = first(db).status.podIP ?? '';

  const work: [PodObject, string, string, number][] = [
    ...web.flatMap((pod): [PodObject, string, string, number][] => [
      [pod, 'nginx', service, 53],
      [pod, 'worker', direct, 31],
    ]),
    [edge, 'edge', service, 29],
    [edge, 'edge', direct, 7],
    [probe, 'probe', direct, 23],
  ];
  const tallies = await Promise.all(
    work.map(([pod, container, address, count]) => tcp(pod, container, address, count)),
  );
  expect(tallies).toEqual(
    work.map(([, , , count]) => ({ done: count, refused: 0, denied: 0, unanswered: 0, failed: 0 })),
  );

  await until('the job is done', () => succeeded(cluster, 'shop', 'import') === JOB.pods, PATIENCE_MS, 1000);
  await until('the cron job has run', () => succeeded(cluster, 'shop', 'report') > 0, PATIENCE_MS, 1000);
  cluster.kubectl('patch', 'cronjob', 'report', '-n', 'shop', '-p', '{"spec":{"suspend":true}}');
  await until('no run is under way', () =>
    cluster.pods('shop', 'app=report').every(({ status }) => status.phase === 'Succeeded'),
  );
  const runs = succeeded(cluster, 'shop', 'report');
  await settled(cluster);

  expect(countsByWorkload(cluster)).toEqual({
    [`shop/web/nginx ${service} allowed closed`]: 3 * 53,
    [`shop/web/worker ${direct} allowed closed`]: 3 * 31,
    [`shop/edge/edge ${service} allowed closed`]: 29,
    [`shop/edge/edge ${direct} allowed closed`]: 7,
    [`data/probe/probe ${direct} allowed closed`]: 23,
    [`shop/import/caller ${service} allowed closed`]: JOB.pods * JOB.calls,
    [`shop/report/caller ${service} allowed closed`]: runs * CRON_CALLS,
  });
  const made = 3 * (53 + 31) + 29 + 7 + 23 + JOB.pods * JOB.calls + runs * CRON_CALLS;
  const accepted = flows(cluster, '--direction', 'ingress', '-n', 'data');
  expect(sum(accepted)).toBe(made);
  expect(losses(cluster)).toEqual({});
});

test('a policy applied with kubectl is enforced, and its status says so', async () => {
  cluster.apply([policy(FORBIDDEN)]);
  await cluster.kubectlMeanwhile('wait', '--for=condition=Accepted', `cwpol/${POLICY}`, '-n', 'shop', '--timeout=60s');
  await cluster.kubectlMeanwhile('wait', '--for=condition=Enforced', `cwpol/${POLICY}`, '-n', 'shop', '--timeout=60s');
  expect(condition('Accepted')).toMatchObject({ status: 'True', reason: 'Valid' });
  expect(condition('Enforced')).toMatchObject({ status: 'True', reason: 'AllNodes' });
  expect(columns().slice(0, 5)).toEqual([POLICY, 'Enforce', 'True', 'True', '1/1']);

  const direct = first(db).status.podIP ?? '';
  for (const pod of web)
    for (const address of [service, direct]) {
      expect(await tcp(pod, 'nginx', address, 10)).toMatchObject({ done: 0, denied: 10 });
      expect(await tcp(pod, 'worker', address, 10)).toMatchObject({ done: 10, denied: 0 });
    }
  await settled(cluster);
  const refused = flows(cluster, 'deploy/web', '-n', 'shop', '-c', 'nginx', '--verdict', 'denied');
  expect(sum(refused)).toBe(3 * 2 * 10);
  expect(sum(flows(cluster, '--verdict', 'denied'))).toBe(sum(refused));
  expect(new Set(refused.map(({ rule }) => rule.policy))).toEqual(new Set([`shop/${POLICY}`]));
});

test('a policy with a misspelt field is refused, and the version before stays in force', async () => {
  cluster.apply([policy({ ...FORBIDDEN, subjekt: {} })]);
  const said = await until('it is refused', () => condition('Accepted')?.status === 'False' && condition('Accepted'));
  expect(said).toMatchObject({ reason: 'Invalid', message: expect.stringContaining('subjekt') });
  expect(await tcp(first(web), 'nginx', service, 5)).toMatchObject({ done: 0, denied: 5 });
  cluster.kubectl('delete', 'cwpol', POLICY, '-n', 'shop');
  cluster.apply([policy(FORBIDDEN)]);
  await cluster.kubectlMeanwhile('wait', '--for=condition=Enforced', `cwpol/${POLICY}`, '-n', 'shop', '--timeout=60s');
});

/** Both loops, and meanwhile something else. */
async function underLoad(seconds: number, meanwhile: () => Promise<void>): Promise<void> {
  const pod = first(web);
  const before = sum(flows(cluster, '--verdict', 'denied'));
  const loop = (container: string) =>
    call(cluster, pod, container, ['paced', service, PORT, seconds, RATE], seconds + 120);
  const loops = [loop('nginx'), loop('worker')];
  await sleep(2000);
  await meanwhile();
  const [forbidden, allowed] = await Promise.all(loops);
  expect(forbidden).toEqual({ done: 0, refused: 0, denied: seconds * RATE, unanswered: 0, failed: 0 });
  expect(allowed).toEqual({ done: seconds * RATE, refused: 0, denied: 0, unanswered: 0, failed: 0 });
  await until('the node is back', () => isEnforcing(cluster), PATIENCE_MS, 1000);
  await settled(cluster);
  const after = sum(flows(cluster, '--verdict', 'denied'));
  expect(after - before).toBe(seconds * RATE);
  expect(losses(cluster)).toEqual({});
}

const pins = () => (existsSync(cluster.machine.pins) ? readdirSync(cluster.machine.pins).sort() : []);
/** As bpftool tells it: what is attached to cgroups of the cluster. */
function attached(): string[] {
  const tree = run('bpftool', ['cgroup', 'tree', join(cgroup2Mount(), cluster.machine.cgroup)]);
  return tree
    .split('\n')
    .slice(1)
    .filter((line) => /^\s+\d+/.test(line));
}

test('while the agent is replaced, nothing that is refused gets through and nothing else breaks', async () => {
  const before = { pins: pins(), attached: attached().length };
  await underLoad(LOAD_S, async () => {
    const old = first(cluster.pods(RELEASE, 'app.kubernetes.io/name=cellwall-agent')).metadata.name;
    cluster.kubectl('rollout', 'restart', 'daemonset/cellwall-agent', '-n', RELEASE);
    await cluster.kubectlMeanwhile('rollout', 'status', 'daemonset/cellwall-agent', '-n', RELEASE, '--timeout=180s');
    expect(first(cluster.pods(RELEASE, 'app.kubernetes.io/name=cellwall-agent')).metadata.name).not.toBe(old);
  });
  expect({ pins: pins(), attached: attached().length }).toEqual(before);
});

test('while the API server is away, enforcement and the record go on', async () => {
  const [pod, since] = [first(web), new Date(Date.now() - 1000).toISOString()];
  const loop = (container: string) => call(cluster, pod, container, ['paced', service, PORT, OUTAGE_S, RATE]);
  await cluster.control.stopApi();
  const [forbidden, allowed] = await Promise.all([loop('nginx'), loop('worker')]).finally(() =>
    cluster.control.startApi(),
  );
  expect(forbidden).toMatchObject({ done: 0, denied: OUTAGE_S * RATE });
  expect(allowed).toMatchObject({ done: OUTAGE_S * RATE, denied: 0 });
  await settled(cluster);
  const seen = (verdict: string) =>
    sum(flows(cluster, '--since', since, '--direction', 'egress', '-n', 'shop', '--verdict', verdict));
  expect([seen('denied'), seen('allowed')]).toEqual([OUTAGE_S * RATE, OUTAGE_S * RATE]);
  expect(losses(cluster)).toEqual({});
});

test('a policy that is deleted is not enforced any more', async () => {
  cluster.kubectl('delete', 'cwpol', POLICY, '-n', 'shop');
  await until('it is lifted', async () => (await tcp(first(web), 'nginx', service, 1)).done === 1, 60_000, 500);
  expect(await tcp(first(web), 'nginx', service, 10)).toMatchObject({ done: 10, denied: 0 });
});

test('a NetworkPolicy is read: what it would refuse is on record, and goes through', async () => {
  const key = 'networkpolicy:data/db';
  cluster.apply([
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'db', namespace: 'data' },
      spec: {
        podSelector: { matchLabels: { app: 'db' } },
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } },
                podSelector: { matchLabels: { app: 'web' } },
              },
            ],
          },
        ],
      },
    },
  ]);
  const policies = () => JSON.parse(cluster.cellwall('policy', 'get', '-o', 'json')) as { policies: { key: string }[] };
  await until(
    'it is read',
    () => policies().policies.some((it) => it.key === key) && isEnforcing(cluster),
    60_000,
    500,
  );
  const [address, count] = [first(db).status.podIP ?? '', 17];
  const probe = first(await readyPods(cluster, 'data', 'probe', 1));
  expect(await tcp(probe, 'probe', address, count)).toMatchObject({ done: count });
  expect(await tcp(first(web), 'worker', address, count)).toMatchObject({ done: count });
  await settled(cluster);
  // Both ends have to accept, so both have it on record.
  const found = counted(
    flows(cluster, '--verdict', 'audit'),
    ({ direction, container: { namespace, container }, rule }) =>
      `${direction} ${namespace}/${container} ${rule.policy}`,
  );
  expect(found).toEqual({ [`egress data/probe ${key}`]: count, [`ingress data/sql ${key}`]: count });
  cluster.kubectl('delete', 'networkpolicy', 'db', '-n', 'data');
});

test('with certificates from Secrets, as cert-manager leaves them, agents and server find each other again', async () => {
  await useSecrets(cluster);
  await until('the agent is back', () => isEnforcing(cluster), PATIENCE_MS, 500);
  expect(nodes(cluster)).toMatchObject([{ name: 'node-1', identity: { proof: 'given', error: null } }]);
  const since = new Date().toISOString();
  expect(await tcp(first(web), 'worker', service, 10)).toMatchObject({ done: 10 });
  await settled(cluster);
  expect(sum(flows(cluster, 'deploy/web', '--since', since, '--direction', 'egress'))).toBe(10);
  expect(losses(cluster)).toEqual({});
});

test('uninstalled, the release leaves nothing but what the documentation says', async () => {
  cluster.apply([policy(FORBIDDEN)]);
  await until('it is in force', async () => (await tcp(first(web), 'nginx', service, 1)).denied === 1, 60_000, 500);
  expect(pins().length).toBeGreaterThan(0);
  cluster.helm('uninstall', RELEASE, '-n', RELEASE);
  await cluster.kubectlMeanwhile('-n', RELEASE, 'rollout', 'status', 'daemonset/cellwall-uninstall', '--timeout=180s');
  cluster.kubectl('-n', RELEASE, 'delete', 'daemonset', 'cellwall-uninstall');
  expect(pins()).toEqual([]);
  expect(attached()).toEqual([]);
  expect(await tcp(first(web), 'nginx', service, 10)).toMatchObject({ done: 10, denied: 0 });

  const labelled = (kinds: string) =>
    cluster
      .kubectl('get', kinds, '-A', '-l', 'app.kubernetes.io/part-of=cellwall', '-o', 'name', '--ignore-not-found')
      .trim();
  const kinds =
    'clusterroles,clusterrolebindings,roles,rolebindings,configmaps,secrets,services,daemonsets,statefulsets,serviceaccounts,networkpolicies,poddisruptionbudgets';
  expect(labelled(kinds)).toBe('');
  expect(labelled('customresourcedefinitions').split('\n')).toHaveLength(2);
  cluster.kubectl('delete', '-f', join(CHART, 'crds'));
  expect(labelled('customresourcedefinitions')).toBe('');
  expect(readdirSync(cluster.machine.path('/var/lib/cellwall-agent')).length).toBeGreaterThan(0);
});
