// SPDX-License-Identifier: Apache-2.0
//
// What runs in the cluster: one of each kind that owns pods. All call the database or wait to be told to.

import { until } from '../harness/run.js';
import { type Cluster, isReady, PATIENCE_MS, type PodObject } from './cluster.js';

export const PORT = 7000;
export const JOB = { calls: 37, pods: 2 } as const;
export const CRON_CALLS = 11;
const TOOLS = '/usr/local/bin';

const idle = (name: string) => container(name, '/bin/sleep', '1000000');

function container(name: string, ...command: string[]): object {
  return { name, image: 'localhost/tools:1', command };
}

function template(app: string, containers: readonly object[], spec: object = {}): object {
  // Pods of these images end at once: they are not told to.
  const pod = { terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, containers, ...spec };
  return { metadata: { labels: { app } }, spec: pod };
}

function workload(kind: string, namespace: string, name: string, spec: object): object {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: name } }, ...spec },
  };
}

const calls = (address: string, count: number) =>
  container('caller', `${TOOLS}/connector`, 'tcp', address, String(PORT), String(count));

const once = { restartPolicy: 'Never' };

export const namespaces = (): object[] =>
  ['shop', 'data'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));

export const database = (): object[] => [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db', namespace: 'data' },
    spec: { selector: { app: 'db' }, ports: [{ name: 'sql', port: PORT }] },
  },
  workload('StatefulSet', 'data', 'db', {
    serviceName: 'db',
    replicas: 2,
    podManagementPolicy: 'Parallel',
    template: template('db', [
      { ...container('sql', `${TOOLS}/sink`, String(PORT)), ports: [{ name: 'sql', containerPort: PORT }] },
    ]),
  }),
];

export const callers = (): object[] => [
  workload('Deployment', 'shop', 'web', { replicas: 3, template: template('web', [idle('nginx'), idle('worker')]) }),
  workload('Deployment', 'shop', 'edge', {
    replicas: 1,
    template: template('edge', [idle('edge')], { hostNetwork: true }),
  }),
  workload('DaemonSet', 'data', 'probe', { template: template('probe', [idle('probe')]) }),
];

/** address: of the database's service. */
export const jobs = (address: string): object[] => [
  {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'import', namespace: 'shop' },
    spec: {
      completions: JOB.pods,
      parallelism: JOB.pods,
      template: template('import', [calls(address, JOB.calls)], once),
    },
  },
  {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'report', namespace: 'shop' },
    spec: {
      schedule: '* * * * *',
      successfulJobsHistoryLimit: 20,
      jobTemplate: { spec: { template: template('report', [calls(address, CRON_CALLS)], once) } },
    },
  },
];

/** Those of one app, when that many are ready. */
export async function readyPods(cluster: Cluster, namespace: string, app: string, count: number): Promise<PodObject[]> {
  return until(
    `${count} pods of ${namespace}/${app} are ready`,
    () => {
      const pods = cluster.pods(namespace, `app=${app}`).filter(isReady);
      return pods.length === count ? pods : undefined;
    },
    PATIENCE_MS,
    500,
  );
}

/** How many pods of the app have run to a good end. */
export const succeeded = (cluster: Cluster, namespace: string, app: string): number =>
  cluster.pods(namespace, `app=${app}`).filter(({ status }) => status.phase === 'Succeeded').length;
