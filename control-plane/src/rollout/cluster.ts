// SPDX-License-Identifier: Apache-2.0
//
// What Kubernetes says of the cluster: pods that no agent tells of, what pods belong to, services, nodes. The store keeps it, for a server that starts
// while the API server is away must mean the same by its policies as the one before.
import type { NamedPort, Service, WorldContainer, WorldNode } from '../policy/index.js';
import type { ClusterRow } from '../store/cluster_rows.js';

export interface ClusterPod {
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  readonly containers: readonly {
    readonly name: string;
    readonly image: string;
    readonly ports: readonly NamedPort[];
  }[];
}

export type ClusterNode = WorldNode;

interface Facts {
  pod: ClusterPod;
  /** By the key of a pod: the name of what it belongs to. */
  workload: string;
  service: Service;
  node: ClusterNode;
}
export type ClusterKind = keyof Facts;

export interface ClusterChanges {
  readonly pods: readonly string[];
  readonly services: boolean;
  readonly nodes: boolean;
}

const noChanges = () => ({
  pod: new Set<string>(),
  workload: new Set<string>(),
  service: new Set<string>(),
  node: new Set<string>(),
});

export class Cluster {
  readonly #facts: { [K in ClusterKind]: Map<string, Facts[K]> } = {
    pod: new Map(),
    workload: new Map(),
    service: new Map(),
    node: new Map(),
  };
  #changed = noChanges();
  #unsaved = new Map<string, ClusterRow>();

  load(rows: readonly ClusterRow[]): void {
    for (const { kind, key, facts } of rows)
      if (facts !== null && kind in this.#facts) this.put(kind as ClusterKind, key, JSON.parse(facts) as never);
    this.#unsaved.clear();
  }

  /** Returns whether anything is new to it. */
  put<K extends ClusterKind>(kind: K, key: string, facts: Facts[K]): boolean {
    const text = JSON.stringify(facts);
    const known = this.#facts[kind].get(key);
    if (known !== undefined && JSON.stringify(known) === text) return false;
    this.#facts[kind].set(key, facts);
    return this.#note(kind, key, text);
  }

  remove(kind: ClusterKind, key: string): boolean {
    return this.#facts[kind].delete(key) && this.#note(kind, key, null);
  }

  replace<K extends ClusterKind>(kind: K, all: ReadonlyMap<string, Facts[K]>): boolean {
    let isNew = false;
    for (const key of [...this.#facts[kind].keys()]) if (!all.has(key)) isNew = this.remove(kind, key) || isNew;
    for (const [key, facts] of all) isNew = this.put(kind, key, facts) || isNew;
    return isNew;
  }

  #note(kind: ClusterKind, key: string, facts: string | null): true {
    this.#changed[kind].add(key);
    this.#unsaved.set(`${kind} ${key}`, { kind, key, facts });
    return true;
  }

  get services(): Service[] {
    return [...this.#facts.service.values()];
  }

  get nodes(): ClusterNode[] {
    return [...this.#facts.node.values()];
  }

  pod(key: string): ClusterPod | undefined {
    return this.#facts.pod.get(key);
  }

  keys(kind: ClusterKind): string[] {
    return [...this.#facts[kind].keys()];
  }

  /** key: NAMESPACE/POD. */
  workload(key: string): string | undefined {
    return this.#facts.workload.get(key);
  }

  /** Since the call before. */
  take(): ClusterChanges {
    const { pod, service, node } = this.#changed;
    this.#changed = noChanges();
    return { pods: [...pod], services: service.size > 0, nodes: node.size > 0 };
  }

  /** For the store, since the call before. */
  takeUnsaved(): ClusterRow[] {
    const rows = [...this.#unsaved.values()];
    this.#unsaved = new Map();
    return rows;
  }
}

export function containersOf({ containers, ...pod }: ClusterPod): WorldContainer[] {
  return containers.map((it) => ({ ...pod, ...it }));
}
