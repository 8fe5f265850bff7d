// SPDX-License-Identifier: Apache-2.0
import type { PolicyContainer } from '../policy/index.js';
import type { ContainerFacts } from '../store/state.js';

/** The live containers of one node, as its agent told. */
export class NodeContainers {
  readonly #byCgroup = new Map<number, PolicyContainer>();

  update(facts: readonly ContainerFacts[], removed: readonly number[], complete: boolean): void {
    if (complete) this.#byCgroup.clear();
    for (const it of facts)
      this.#byCgroup.set(it.cgroupId, { namespace: it.namespace, pod: it.pod, name: it.name, labels: it.labels });
    for (const cgroup of removed) this.#byCgroup.delete(cgroup);
  }

  all(): Iterable<PolicyContainer> {
    return this.#byCgroup.values();
  }
}
