// SPDX-License-Identifier: Apache-2.0
//
// What survives the restarts of a container: what the owners of its pod are in Kubernetes, or else as far as the pod's labels tell.
// Labels that controllers of Kubernetes set are trusted; a name alone is never taken apart, since "web-7" can be anybody's name.

export interface PodFacts {
  readonly namespace: string;
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  /** By the owners of the pod; '' or undefined: Kubernetes was not asked, or has not told. */
  readonly workload?: string | undefined;
}

/** Of what Deployments, StatefulSets, DaemonSets and Jobs add behind the name, see their controllers in kubernetes/kubernetes. */
const RANDOM = /-[bcdfghjklmnpqrstvwxz2456789]{5}$/;

/** The name that the pods of one workload share; the pod's own name where nothing tells. */
export function workloadOf({ pod, labels, workload }: PodFacts): string {
  if (workload) return workload;
  const template = labels['pod-template-hash'];
  if (template !== undefined && pod.includes(`-${template}-`)) return pod.slice(0, pod.lastIndexOf(`-${template}-`));
  const job = labels['batch.kubernetes.io/job-name'] ?? labels['job-name'];
  if (job !== undefined && pod.startsWith(`${job}-`)) return job;
  if (labels['statefulset.kubernetes.io/pod-name'] === pod) return pod.replace(/-\d+$/, '');
  if (labels['controller-revision-hash'] !== undefined) return pod.replace(RANDOM, '');
  return pod;
}

/** By every name that kubectl has for them. */
const KINDS: Readonly<Record<string, WorkloadKind>> = {
  ...words('Deployment', 'deploy', 'deployment', 'deployments'),
  ...words('StatefulSet', 'sts', 'statefulset', 'statefulsets'),
  ...words('DaemonSet', 'ds', 'daemonset', 'daemonsets'),
  ...words('Job', 'job', 'jobs'),
  ...words('CronJob', 'cj', 'cronjob', 'cronjobs'),
  ...words('Pod', 'po', 'pod', 'pods'),
};

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'Job' | 'CronJob' | 'Pod';

function words(kind: WorkloadKind, ...names: readonly string[]): Record<string, WorkloadKind> {
  return Object.fromEntries(names.map((name) => [name, kind]));
}

/** undefined: no kind has this name. */
export const workloadKind = (name: string): WorkloadKind | undefined => KINDS[name.toLowerCase()];

/** By the labels that its controller sets on its pods; 'Pod' where nothing tells. */
export function workloadKindOf(facts: PodFacts): WorkloadKind {
  const { labels, pod } = facts;
  if (labels['pod-template-hash'] !== undefined) return 'Deployment';
  if (labels['statefulset.kubernetes.io/pod-name'] === pod) return 'StatefulSet';
  const job = labels['batch.kubernetes.io/job-name'] ?? labels['job-name'];
  if (job !== undefined) return workloadOf(facts) === job ? 'Job' : 'CronJob';
  return labels['controller-revision-hash'] === undefined ? 'Pod' : 'DaemonSet';
}
