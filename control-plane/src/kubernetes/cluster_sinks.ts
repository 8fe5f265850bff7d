// SPDX-License-Identifier: Apache-2.0
//
// Where the objects go that say what policies mean: pods with what they belong to, services with their backends, nodes.
import type { Cluster, ClusterNode, ClusterPod } from '../rollout/cluster.js';
import type { Sink } from './collection.js';
import type { PodFacts } from './resources.js';
import { JoinedServices, SERVICES, type ServiceFacts, SLICES, type SliceFacts } from './services.js';
import { Workloads } from './workloads.js';

/** The part of Rollout that is used. */
interface Target {
  readonly cluster: Cluster;
  clusterChanged(): void;
}

export class ClusterSinks {
  readonly #target: Target;
  readonly #services = new JoinedServices();
  readonly #workloads: Workloads;
  readonly #isListed: (resource: string) => boolean;

  constructor(target: Target, isListed: (resource: string) => boolean) {
    this.#target = target;
    this.#isListed = isListed;
    this.#workloads = new Workloads(target.cluster);
  }

  #told(isNew: boolean, also: () => void = () => {}): void {
    if (!isNew) return;
    this.#target.clusterChanged();
    also();
  }

  nodes(also: () => void): Sink<ClusterNode> {
    const { cluster } = this.#target;
    return {
      replace: (all) => this.#told(cluster.replace('node', all), also),
      put: (key, facts) => this.#told(cluster.put('node', key, facts), also),
      remove: (key) => this.#told(cluster.remove('node', key), also),
    };
  }

  pods(): Sink<PodFacts> {
    const { cluster } = this.#target;
    const workloads = this.#workloads;
    return {
      replace: (all) => {
        const pods = [...all].flatMap(([key, { pod }]): [string, ClusterPod][] => (pod ? [[key, pod]] : []));
        const owners = new Map([...all].map(([key, { owner }]) => [key, owner]));
        this.#told(cluster.replace('pod', new Map(pods)));
        this.#told(workloads.replacePods(owners));
      },
      put: (key, { pod, owner }) => {
        this.#told(pod ? cluster.put('pod', key, pod) : cluster.remove('pod', key));
        this.#told(workloads.putPod(key, owner));
      },
      remove: (key) => {
        this.#told(cluster.remove('pod', key));
        this.#told(workloads.removePod(key));
      },
    };
  }

  jobs(): Sink<string> {
    const workloads = this.#workloads;
    return {
      replace: (all) => this.#told(workloads.replaceJobs(all)),
      put: (key, cronJob) => this.#told(workloads.putJob(key, cronJob)),
      remove: (key) => workloads.removeJob(key),
    };
  }

  /** Only when both lists are there: services without backends would be others than before. */
  #joined(key?: string): void {
    if (![SERVICES, SLICES].every(({ name }) => this.#isListed(name))) return;
    const { cluster } = this.#target;
    const one = key === undefined ? undefined : this.#services.one(key);
    if (key === undefined) this.#told(cluster.replace('service', this.#services.all()));
    else this.#told(one ? cluster.put('service', key, one) : cluster.remove('service', key));
  }

  services(): Sink<ServiceFacts> {
    const { services } = this.#services;
    return {
      replace: (all) => {
        services.clear();
        for (const [key, facts] of all) services.set(key, facts);
        this.#joined();
      },
      put: (key, facts) => {
        services.set(key, facts);
        this.#joined(key);
      },
      remove: (key) => {
        services.delete(key);
        this.#joined(key);
      },
    };
  }

  slices(): Sink<SliceFacts> {
    return {
      replace: (all) => {
        this.#services.replaceSlices(all);
        this.#joined();
      },
      put: (key, slice) => this.#joined(this.#services.putSlice(key, slice)),
      remove: (key) => {
        const service = this.#services.removeSlice(key);
        if (service !== undefined) this.#joined(service);
      },
    };
  }
}
