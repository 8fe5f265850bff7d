// SPDX-License-Identifier: Apache-2.0
import { DEFAULT_DENY, type Direction, type NamedPort, type PolicyContainer } from '../model.js';
import type { Catalog, CatalogPolicy } from './catalog.js';

/** What policies can tell of a container: the selectors that select it. */
export interface Profile {
  readonly id: number;
  /** Ascending. */
  readonly selectors: readonly number[];
  readonly has: ReadonlySet<number>;
  readonly policies: readonly CatalogPolicy[];
  /** Those that isolate a direction. */
  readonly isolating: Readonly<Record<Direction, readonly CatalogPolicy[]>>;
  /** Equal where `isolating` is. */
  readonly isolation: Readonly<Record<Direction, string>>;
  /** Some policy can have a say about these containers, if only that of somebody whom they call. */
  readonly judged: boolean;
  ports(protocol: number, name: string): readonly number[];
}

export class Profiles {
  readonly #catalog: Catalog;
  readonly #known = new Map<string, Profile>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  of(container: PolicyContainer, ports: readonly NamedPort[]): Profile {
    return this.intern(this.#catalog.selectors.of(container, ports));
  }

  intern(selectors: readonly number[]): Profile {
    const key = selectors.join(',');
    const known = this.#known.get(key);
    if (known) return known;
    const ports = selectors.flatMap((index) => this.#catalog.selectors.portOf(index) ?? []);
    const policies = this.#catalog.about(selectors);
    const isolating = (direction: Direction) => policies.filter(({ policy }) => policy.isolated[direction]);
    const [egress, ingress] = [isolating('egress'), isolating('ingress')];
    const named = (list: readonly CatalogPolicy[]) => list.map((policy) => policy.builtin(DEFAULT_DENY)).join();
    const profile: Profile = {
      id: this.#known.size,
      selectors,
      has: new Set(selectors),
      policies,
      isolating: { egress, ingress },
      isolation: { egress: named(egress), ingress: named(ingress) },
      judged: selectors.length > ports.length || this.#catalog.refusesStrangers,
      ports: (protocol, name) =>
        ports.filter((it) => it.protocol === protocol && it.name === name).map((it) => it.port),
    };
    this.#known.set(key, profile);
    return profile;
  }
}
