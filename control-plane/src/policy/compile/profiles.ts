// SPDX-License-Identifier: Apache-2.0
import type { NamedPort, PolicyContainer } from '../model.js';
import type { Catalog, CatalogPolicy } from './catalog.js';

/** What policies can tell of a container: the selectors that select it. */
export interface Profile {
  readonly id: number;
  /** Ascending. */
  readonly selectors: readonly number[];
  readonly has: ReadonlySet<number>;
  readonly policies: readonly CatalogPolicy[];
  /** Some selector is more than the name of a port: containers of this profile are judged. */
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
    const profile: Profile = {
      id: this.#known.size,
      selectors,
      has: new Set(selectors),
      policies: this.#catalog.about(selectors),
      judged: selectors.length > ports.length,
      ports: (protocol, name) => ports.filter((it) => it.protocol === protocol && it.name === name).map((it) => it.port),
    };
    this.#known.set(key, profile);
    return profile;
  }
}
