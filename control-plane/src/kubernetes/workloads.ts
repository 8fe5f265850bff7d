// SPDX-License-Identifier: Apache-2.0
//
// What pods belong to, by their owners: a Deployment through its ReplicaSet, a CronJob through its Job.
import type { Cluster } from '../rollout/cluster.js';
import type { KubernetesObject, OwnerReference, Resource } from './resources.js';

/** job: what owns the Job has to be asked. */
export type PodOwner = { readonly workload: string } | { readonly job: string };

/** Set by whoever rolls out ReplicaSets, which are named by it: Deployments, and Rollouts of Argo. */
const HASHES = ['pod-template-hash', 'rollouts-pod-template-hash'];
const PLAIN = new Set(['StatefulSet', 'DaemonSet', 'ReplicationController']);

const controllerOf = ({ metadata }: KubernetesObject): OwnerReference | undefined =>
  metadata?.ownerReferences?.find((it) => it.controller);

/** Of a ReplicaSet that nobody rolls out, its own name. */
function rolledOut(replicaSet: string, labels: Readonly<Record<string, string>>): string {
  const ending = HASHES.map((label) => `-${labels[label]}`).find((it) => replicaSet.endsWith(it));
  return ending === undefined ? replicaSet : replicaSet.slice(0, -ending.length);
}

/** null: it belongs to nothing that is known here. */
export function ownerOf(pod: KubernetesObject): PodOwner | null {
  const { kind = '', name = '' } = controllerOf(pod) ?? {};
  if (name === '') return null;
  if (kind === 'ReplicaSet') return { workload: rolledOut(name, pod.metadata?.labels ?? {}) };
  if (kind === 'Job') return { job: name };
  return PLAIN.has(kind) ? { workload: name } : null;
}

/** The name of the CronJob; a Job that nobody repeats does not count. */
export const JOBS: Resource<string> = {
  name: 'jobs',
  group: 'batch',
  path: '/apis/batch/v1/jobs',
  metadataOnly: true,
  read(object) {
    const owner = controllerOf(object);
    return owner?.kind === 'CronJob' && owner.name ? owner.name : null;
  },
};

/** Each method returns whether something is new. Keys are NAMESPACE/NAME. */
export class Workloads {
  readonly #cluster: Cluster;
  readonly #owners = new Map<string, PodOwner>();
  readonly #podsOf = new Map<string, Set<string>>();
  /** null: not listed yet. */
  #cronJobs: Map<string, string> | null = null;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  putPod(key: string, owner: PodOwner | null): boolean {
    this.#forget(key);
    if (owner === null) return this.#cluster.remove('workload', key);
    this.#owners.set(key, owner);
    if ('job' in owner) {
      const job = jobKey(key, owner.job);
      this.#podsOf.set(job, (this.#podsOf.get(job) ?? new Set()).add(key));
    }
    return this.#tell(key, owner);
  }

  removePod(key: string): boolean {
    this.#forget(key);
    return this.#cluster.remove('workload', key);
  }

  replacePods(all: ReadonlyMap<string, PodOwner | null>): boolean {
    const known = [...this.#owners.keys(), ...this.#cluster.keys('workload')];
    const gone = known.filter((key) => !all.has(key)).map((key) => this.removePod(key));
    const put = [...all].map(([key, owner]) => this.putPod(key, owner));
    return [...gone, ...put].includes(true);
  }

  putJob(key: string, cronJob: string): boolean {
    this.#cronJobs?.set(key, cronJob);
    return this.#tellPodsOf(key);
  }

  /** Its pods go after it, and are told once more before: what they belonged to stays. */
  removeJob(key: string): void {
    this.#cronJobs?.delete(key);
  }

  replaceJobs(all: ReadonlyMap<string, string>): boolean {
    this.#cronJobs = new Map(all);
    return [...this.#podsOf.keys()].map((job) => this.#tellPodsOf(job)).includes(true);
  }

  #tellPodsOf(job: string): boolean {
    const told = [...(this.#podsOf.get(job) ?? [])].map((key) => {
      const owner = this.#owners.get(key);
      return owner !== undefined && this.#tell(key, owner);
    });
    return told.includes(true);
  }

  #tell(key: string, owner: PodOwner): boolean {
    const workload = 'workload' in owner ? owner.workload : this.#ofJob(key, owner.job);
    return workload !== undefined && this.#cluster.put('workload', key, workload);
  }

  /** undefined: not before the Jobs are known, for a CronJob would be one workload more for each of its runs. */
  #ofJob(key: string, job: string): string | undefined {
    const known = this.#cronJobs?.get(jobKey(key, job)) ?? this.#cluster.workload(key);
    return known ?? (this.#cronJobs ? job : undefined);
  }

  #forget(key: string): void {
    const owner = this.#owners.get(key);
    this.#owners.delete(key);
    if (!owner || !('job' in owner)) return;
    const job = jobKey(key, owner.job);
    const left = this.#podsOf.get(job);
    left?.delete(key);
    if (left?.size === 0) this.#podsOf.delete(job);
  }
}

const jobKey = (pod: string, job: string) => `${pod.slice(0, pod.indexOf('/'))}/${job}`;
