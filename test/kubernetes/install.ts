// SPDX-License-Identifier: Apache-2.0
//
// The chart, installed as docs/KUBERNETES.md says.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroup2Mount } from '../harness/cgroups.js';
import { ROOT } from '../harness/root.js';
import { until } from '../harness/run.js';
import { type Cluster, isReady, PATIENCE_MS } from './cluster.js';
import { POD_NETWORK } from './control_plane.js';
import { SERVICE_NETWORK } from './credentials.js';
import { REGISTRY } from './images.js';

export const RELEASE = 'cellwall';
export const CHART = join(ROOT, 'deploy/helm/cellwall');
const STORAGE_CLASS = 'local';

interface NodeStatus {
  readonly name: string;
  readonly connected: boolean;
  readonly generation: { readonly wanted: number; readonly applied: number };
}

/** For this cluster; all else is as the chart has it. */
function values(cluster: Cluster): object {
  return {
    images: { registry: REGISTRY },
    agent: {
      cgroup: `${cgroup2Mount()}${cluster.machine.cgroup}/kubepods`,
      // The machine of the tests may lack the right to raise limits, which only kernels before 5.11 need.
      capabilities: ['BPF', 'PERFMON', 'NET_ADMIN', 'SYS_PTRACE', 'SYS_ADMIN'],
      extraArgs: ['--open-interval', '1', '--statistics-interval', '1', '--udp-idle', '2'],
    },
    server: { clusterNetworks: `${POD_NETWORK},${SERVICE_NETWORK}`, storage: { className: STORAGE_CLASS } },
  };
}

/** A person who may look. */
function viewer(): object[] {
  const name = 'viewer';
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: RELEASE } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cellwall-view' },
      subjects: [{ kind: 'ServiceAccount', name, namespace: RELEASE }],
    },
  ];
}

export async function install(cluster: Cluster): Promise<{ seconds: number }> {
  cluster.makeVolume(STORAGE_CLASS);
  cluster.kubectl('create', 'namespace', RELEASE);
  cluster.kubectl('label', 'namespace', RELEASE, 'pod-security.kubernetes.io/enforce=privileged');
  const file = join(cluster.machine.folder, 'values.json');
  writeFileSync(file, JSON.stringify(values(cluster)));
  const beganMs = Date.now();
  cluster.helm('install', RELEASE, CHART, '-n', RELEASE, '-f', file);
  await until(
    'the pods of the release are ready',
    () => {
      const pods = cluster.pods(RELEASE);
      return pods.length === 2 && pods.every(isReady);
    },
    PATIENCE_MS,
    500,
  );
  cluster.apply(viewer());
  await until('every node enforces', () => isEnforcing(cluster), PATIENCE_MS, 500);
  return { seconds: (Date.now() - beganMs) / 1000 };
}

export const nodes = (cluster: Cluster): NodeStatus[] =>
  (JSON.parse(cluster.cellwall('nodes', '-o', 'json')) as { nodes: NodeStatus[] }).nodes;

export const isEnforcing = (cluster: Cluster): boolean => {
  const all = nodes(cluster);
  return (
    all.length > 0 && all.every(({ connected, generation }) => connected && generation.applied === generation.wanted)
  );
};
