// SPDX-License-Identifier: Apache-2.0
//
// The chart, installed as docs/KUBERNETES.md says.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../../control-plane/src/testing/authority.js';
import { cgroup2Mount } from '../harness/cgroups.js';
import { ROOT } from '../harness/root.js';
import { until } from '../harness/run.js';
import { type Cluster, isReady, PATIENCE_MS, type PodObject } from './cluster.js';
import { POD_NETWORK } from './control_plane.js';
import { SERVICE_NETWORK } from './credentials.js';
import { REGISTRY } from './images.js';
import { workloads } from './record.js';

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
    server: {
      clusterNetworks: `${POD_NETWORK},${SERVICE_NETWORK}`,
      networkPolicies: 'audit',
      storage: { className: STORAGE_CLASS },
    },
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

const valuesFile = (cluster: Cluster): string => join(cluster.machine.folder, 'values.json');

export async function install(cluster: Cluster): Promise<{ seconds: number }> {
  cluster.makeVolume(STORAGE_CLASS);
  cluster.kubectl('create', 'namespace', RELEASE);
  cluster.kubectl('label', 'namespace', RELEASE, 'pod-security.kubernetes.io/enforce=privileged');
  const file = valuesFile(cluster);
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
  await until('every container is known', () => sameContainers(cluster), PATIENCE_MS, 500);
  return { seconds: (Date.now() - beganMs) / 1000 };
}

function secret(name: string, authority: string, issued: { certificate: string; key: string }): object {
  const file = (path: string) => readFileSync(path).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name, namespace: RELEASE },
    data: { 'tls.crt': file(issued.certificate), 'tls.key': file(issued.key), 'ca.crt': file(authority) },
  };
}

/** Certificates in Secrets as cert-manager leaves them, in place of those of the server's own authority. */
export async function useSecrets(cluster: Cluster): Promise<void> {
  const authority = new Authority(cluster.machine.folder, 'given');
  const server = authority.issue('server', ['DNS:cellwall-server.cellwall.svc', 'DNS:localhost', 'IP:127.0.0.1']);
  const agent = authority.issue('agent', ['DNS:cellwall-agent']);
  cluster.apply([
    secret('cellwall-server-tls', authority.certificate, server),
    secret('cellwall-agent-tls', authority.certificate, agent),
  ]);
  cluster.helm('upgrade', RELEASE, CHART, '-n', RELEASE, '-f', valuesFile(cluster), '--set', 'tls.own=false');
  for (const part of ['statefulset/cellwall-server', 'daemonset/cellwall-agent'])
    await cluster.kubectlMeanwhile('rollout', 'status', part, '-n', RELEASE, '--timeout=180s');
  cluster.authority = authority.certificate;
}

const SANDBOX = '(pod sandbox)';
const names = (all: Iterable<string>): string => [...all].sort().join('\n');

/** Whether those that run are those that are on record. */
export function sameContainers(cluster: Cluster): boolean {
  const running = cluster
    .get<{ items: PodObject[] }>('pods', '-A')
    .items.flatMap(({ metadata, status }) =>
      (status.containerStatuses ?? []).map(({ name }) => `${metadata.namespace}/${metadata.name}/${name}`),
    );
  const known = [...workloads(cluster).keys()].filter((name) => !name.endsWith(SANDBOX));
  return names(running) === names(known);
}

export const nodes = (cluster: Cluster): NodeStatus[] =>
  (JSON.parse(cluster.cellwall('nodes', '-o', 'json')) as { nodes: NodeStatus[] }).nodes;

export const isEnforcing = (cluster: Cluster): boolean => {
  const all = nodes(cluster);
  return (
    all.length > 0 && all.every(({ connected, generation }) => connected && generation.applied === generation.wanted)
  );
};
