// SPDX-License-Identifier: Apache-2.0
//
// All live containers of the cluster and the addresses of its nodes, as agents told. Every node has to know the addresses
// of all: they are what its rules mean.
import type { ContainerChange, WorldContainer, WorldNode } from '../policy/index.js';
import type { ContainerFacts } from '../store/state.js';

function toWorld(node: string, facts: ContainerFacts): WorldContainer {
  const { namespace, pod, name, labels, image, addresses, ports } = facts;
  return { node, namespace, pod, name, labels, image, addresses, ports };
}

export class Inventory {
  readonly #containers = new Map<string, Map<number, WorldContainer>>();
  readonly #addresses = new Map<string, readonly string[]>();
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
    for (const cgroup of [...gone, ...removed]) if (own.delete(cgroup)) this.#changes.set(`${node} ${cgroup}`, null);
    for (const it of facts) {
      const container = toWorld(node, it);
      // Agents list everything again at each connect; mostly, nothing of it is new.
      if (JSON.stringify(own.get(it.cgroupId)) === JSON.stringify(container)) continue;
      own.set(it.cgroupId, container);
      this.#changes.set(`${node} ${it.cgroupId}`, container);
    }
    return this.#changes.size > before;
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
    return [...this.#addresses].map(([name, addresses]) => ({ name, addresses }));
  }

  all(): ContainerChange[] {
    return [...this.#containers].flatMap(([node, own]) =>
      [...own].map(([cgroup, container]) => ({ key: `${node} ${cgroup}`, container })),
    );
  }

  containers(): WorldContainer[] {
    return [...this.#containers.values()].flatMap((own) => [...own.values()]);
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
