// SPDX-License-Identifier: Apache-2.0
//
// All live containers of the cluster and the addresses of its nodes, as agents told, and as Kubernetes did where no agent is.
// Every node has to know the addresses of all: they are what its rules mean.
import type { ContainerChange, WorldContainer, WorldNode } from '../policy/index.js';
import type { ContainerFacts } from '../store/state.js';
import { type ClusterNode, type ClusterPod, containersOf } from './cluster.js';

function toWorld(node: string, facts: ContainerFacts): WorldContainer {
  const { namespace, pod, name, labels, image, addresses, ports } = facts;
  return { node, namespace, pod, name, labels, image, addresses, ports };
}

const nameOf = ({ namespace, pod, name }: WorldContainer) => `${namespace}/${pod}/${name}`;

export class Inventory {
  readonly #containers = new Map<string, Map<number, WorldContainer>>();
  readonly #addresses = new Map<string, readonly string[]>();
  /** How many of this name agents tell of: a restarted one is another, and both are there for a moment. */
  readonly #told = new Map<string, number>();
  /** Of Kubernetes, by the key of the pod. */
  readonly #pods = new Map<string, readonly WorldContainer[]>();
  readonly #ofPods = new Map<string, WorldContainer>();
  #clusterNodes: readonly ClusterNode[] = [];
  /** By key; what changed since it was taken last. */
  #changes = new Map<string, WorldContainer | null>();
  #nodesChanged = false;

  /** Returns whether anything is new to it. */
  update(node: string, facts: readonly ContainerFacts[], removed: readonly number[], complete: boolean): boolean {
    const own = this.#containers.get(node) ?? new Map<number, WorldContainer>();
    this.#containers.set(node, own);
    const before = this.#changes.size;
    const stays = new Set(facts.map((it) => it.cgroupId));
    const gone = complete ? [...own.keys()].filter((cgroup) => !stays.has(cgroup)) : [];
    for (const cgroup of [...gone, ...removed]) {
      const container = own.get(cgroup);
      if (!container) continue;
      own.delete(cgroup);
      this.#changes.set(`${node} ${cgroup}`, null);
      this.#tell(container, -1);
    }
    for (const it of facts) {
      const container = toWorld(node, it);
      // Agents list everything again at each connect; mostly, nothing of it is new.
      const known = own.get(it.cgroupId);
      if (JSON.stringify(known) === JSON.stringify(container)) continue;
      if (known) this.#tell(known, -1);
      own.set(it.cgroupId, container);
      this.#tell(container, 1);
      this.#changes.set(`${node} ${it.cgroupId}`, container);
    }
    return this.#changes.size > before;
  }

  /** What an agent sees goes before what Kubernetes says. */
  #tell(container: WorldContainer, by: 1 | -1): void {
    const name = nameOf(container);
    const count = (this.#told.get(name) ?? 0) + by;
    if (count > 0) this.#told.set(name, count);
    else this.#told.delete(name);
    const ofPod = this.#ofPods.get(name);
    if (ofPod) this.#changes.set(`pod ${name}`, count > 0 ? null : ofPod);
  }

  /** As Kubernetes has it. */
  setPod(key: string, pod: ClusterPod | undefined): void {
    const before = this.#pods.get(key) ?? [];
    const now = pod ? containersOf(pod) : [];
    for (const name of before.map(nameOf)) {
      this.#ofPods.delete(name);
      this.#changes.set(`pod ${name}`, null);
    }
    for (const container of now) {
      const name = nameOf(container);
      this.#ofPods.set(name, container);
      if (!this.#told.has(name)) this.#changes.set(`pod ${name}`, container);
    }
    if (pod) this.#pods.set(key, now);
    else this.#pods.delete(key);
  }

  setClusterNodes(nodes: readonly ClusterNode[]): void {
    this.#clusterNodes = nodes;
    this.#nodesChanged = true;
  }

  setNode(node: string, addresses: readonly string[]): void {
    if (this.#addresses.get(node)?.join(' ') === addresses.join(' ')) return;
    this.#addresses.set(node, addresses);
    this.#nodesChanged = true;
  }

  get size(): number {
    return this.#addresses.size;
  }

  get nodes(): WorldNode[] {
    const all = new Map(this.#addresses);
    for (const { name, addresses } of this.#clusterNodes)
      all.set(name, [...new Set([...(all.get(name) ?? []), ...addresses])]);
    return [...all].map(([name, addresses]) => ({ name, addresses }));
  }

  all(): ContainerChange[] {
    const told = [...this.#containers].flatMap(([node, own]) =>
      [...own].map(([cgroup, container]) => ({ key: `${node} ${cgroup}`, container })),
    );
    return [...told, ...this.#untold().map((container) => ({ key: `pod ${nameOf(container)}`, container }))];
  }

  #untold(): WorldContainer[] {
    return [...this.#ofPods].filter(([name]) => !this.#told.has(name)).map(([, container]) => container);
  }

  containers(): WorldContainer[] {
    return [...[...this.#containers.values()].flatMap((own) => [...own.values()]), ...this.#untold()];
  }

  /** Changes since the call before. */
  take(): { readonly changes: ContainerChange[]; readonly nodesChanged: boolean } {
    const taken = {
      changes: [...this.#changes].map(([key, container]) => ({ key, container })),
      nodesChanged: this.#nodesChanged,
    };
    this.#changes = new Map();
    this.#nodesChanged = false;
    return taken;
  }
}
