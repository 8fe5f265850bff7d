// SPDX-License-Identifier: Apache-2.0
//
// Policies to rule sets: all precedence is resolved here, so that the kernel only takes the longest match. Keeps what it
// has compiled, so that a container that comes or goes costs little.
import type { Observation, Policy } from '../model.js';
import { bitsOf, type PolicyOptions, type Service, type WorldContainer, type WorldNode } from '../world.js';
import { type AddressChanges, Addresses, type Resident } from './addresses.js';
import { Catalog } from './catalog.js';
import type { CompiledAmendment, CompiledSelector } from './compiled.js';
import { type Profile, Profiles } from './profiles.js';
import { RuleSetBuilder, type Surroundings } from './rule_set.js';
import { Tree } from './tree.js';

export interface CompilerInput {
  readonly generation: number;
  readonly policies: readonly Policy[];
  readonly observations: readonly Observation[];
  readonly options: PolicyOptions;
  /** The lasting number of a rule, from 16. */
  ruleNumber(policyKey: string, rule: string): number;
  readonly nodes?: readonly WorldNode[];
  readonly services?: readonly Service[];
  readonly containers?: readonly ContainerChange[];
  /** Revisions go on from here. */
  readonly revision?: number;
}

export interface ContainerChange {
  /** What names a container in the cluster. */
  readonly key: string;
  /** null: it is gone. */
  readonly container: WorldContainer | null;
}

/** Identities that no address has any more are kept up to this many, and as many again as there are addresses. */
const MOST_STALE = 1024;
/** Changes of addresses, and of rule sets, that are kept for nodes that lack them: 16 MB. */
const MOST_CHANGES = 1_000_000;

/** Of one generation. */
export class PolicyCompiler {
  readonly generation: number;
  readonly catalog: Catalog;
  readonly addresses: Addresses;
  readonly #profiles: Profiles;
  readonly #around: Surroundings;
  readonly #single: readonly Profile[];
  readonly #residents = new Map<string, Resident>();
  /** How many containers of each profile a node has. */
  readonly #byNode = new Map<string, Map<Profile, number>>();
  /** How often a profile came to a node or went. */
  readonly #turns = new Map<string, number>();
  #turned = 0;
  readonly #exact = new Map<Profile, RuleSetBuilder>();
  readonly #light = new Map<Profile, RuleSetBuilder>();
  readonly #grown: RuleSetBuilder[] = [];
  /** Identities that all rule sets know. */
  #spread = 0;
  /** By what they amend; those to the revision as it is now. */
  readonly #amendments = new WeakMap<AddressChanges, CompiledAmendment[]>();
  #revision = 0;

  constructor(input: CompilerInput) {
    this.generation = input.generation;
    this.catalog = new Catalog(input.policies, input.observations);
    this.#profiles = new Profiles(this.catalog);
    const subjects = new Set(this.catalog.policies.map(({ subject }) => subject));
    this.#single = [...subjects].map((subject) => this.#profiles.intern([subject]));
    const tree = new Tree(this.catalog, input.options);
    this.addresses = new Addresses(this.catalog, tree);
    const { refs } = this.catalog;
    const numbers: number[] = [];
    this.#around = {
      catalog: this.catalog,
      tree,
      remotes: this.addresses.remotes.list,
      farIsOpen: input.options.apiServer.length + input.options.dnsServers.length > 0,
      numberOf: (ref) => {
        const { policy, rule } = refs[ref] as { policy: string; rule: string };
        numbers[ref] ??= input.ruleNumber(policy, rule);
        return numbers[ref];
      },
    };
    this.setNodes(input.nodes ?? []);
    this.setServices(input.services ?? []);
    this.update(input.containers ?? []);
    this.#revision = input.revision ?? 1;
  }

  /** Grows whenever rule sets or addresses of some node may have changed. */
  get revision(): number {
    return this.#revision;
  }

  /** So much is left of what is gone that compiling anew is better. */
  get isStale(): boolean {
    const { remotes, size, journal } = this.addresses;
    return remotes.list.length > 2 * size + MOST_STALE || Math.max(journal.length, this.#grown.length) > MOST_CHANGES;
  }

  get selectors(): CompiledSelector[] {
    return this.catalog.selectors.compiled();
  }

  update(changes: Iterable<ContainerChange>): void {
    const touched = new Set<bigint>();
    const turns = this.#turned;
    for (const { key, container } of changes) {
      const before = this.#residents.get(key);
      if (before) this.#remove(key, before, touched);
      if (container) this.#add(key, container, touched);
    }
    this.#refresh(touched, this.#turned > turns);
  }

  #refresh(touched: ReadonlySet<bigint>, turned = false): void {
    const before = this.addresses.journal.length;
    this.addresses.refresh(touched);
    if (turned || this.addresses.journal.length > before) this.#revision++;
  }

  #add(key: string, container: WorldContainer, touched: Set<bigint>): void {
    const profile = this.#profiles.of(container, container.ports);
    const resident = { container, profile, bits: bitsOf(container.addresses) };
    this.#residents.set(key, resident);
    this.addresses.hold(resident);
    const counts = this.#byNode.get(container.node) ?? new Map<Profile, number>();
    if (!counts.has(profile)) this.#turn(container.node);
    this.#byNode.set(container.node, counts.set(profile, (counts.get(profile) ?? 0) + 1));
    for (const bits of resident.bits) touched.add(bits);
  }

  #remove(key: string, resident: Resident, touched: Set<bigint>): void {
    const { container, profile, bits } = resident;
    this.#residents.delete(key);
    this.addresses.release(resident);
    const counts = this.#byNode.get(container.node);
    const left = (counts?.get(profile) ?? 1) - 1;
    if (left > 0) counts?.set(profile, left);
    else if (counts?.delete(profile)) this.#turn(container.node);
    for (const it of bits) touched.add(it);
  }

  setNodes(nodes: readonly WorldNode[]): void {
    this.#refresh(this.addresses.setNodes(nodes));
  }

  setServices(services: readonly Service[]): void {
    this.#refresh(this.addresses.setServices(services));
  }

  #turn(node: string): void {
    this.#turned++;
    this.#turns.set(node, (this.#turns.get(node) ?? 0) + 1);
  }

  /** Equal: the node has the same rule sets as before, to which something may have been added. */
  turnsOf(node: string): number {
    return this.#turns.get(node) ?? 0;
  }

  /** Identities that came since are taken into all rule sets, once for all nodes. */
  #spreadIdentities(): void {
    const { length } = this.addresses.remotes.list;
    if (this.#spread === length) return;
    this.#spread = length;
    for (const builder of [...this.#light.values(), ...this.#exact.values()]) {
      const before = builder.set.identities.length;
      if (builder.extend().set.identities.length > before) this.#grown.push(builder);
    }
  }

  /** Rule sets to which something was added, in order, once for each time. */
  get grown(): readonly RuleSetBuilder[] {
    this.#spreadIdentities();
    return this.#grown;
  }

  /** What policies can tell of a container. */
  profileOf(container: WorldContainer): Profile {
    return this.#profiles.of(container, container.ports);
  }

  /** Of the containers of a node, and for each policy that of a container which only this policy selects. */
  ruleSets(node: string): RuleSetBuilder[] {
    this.#spreadIdentities();
    const own = new Set([...(this.#byNode.get(node)?.keys() ?? [])].filter((profile) => profile.judged));
    return [
      ...this.#single.filter((profile) => !own.has(profile)).map((profile) => this.#builder(this.#light, profile)),
      ...[...own].map((profile) => this.#builder(this.#exact, profile)),
    ];
  }

  /** Of addresses alone, from the revision `base` on: the same object for all nodes that lack the same. */
  amendment(base: number, changes: AddressChanges): CompiledAmendment {
    const { generation, revision } = this;
    const known = this.#amendments.get(changes) ?? [];
    const found = known.find((it) => it.baseRevision === base && it.revision === revision);
    if (found) return found;
    const made = { generation, baseRevision: base, revision, ruleSets: [], additions: [], ...changes };
    this.#amendments.set(changes, [...known.filter((it) => it.revision === revision), made]);
    return made;
  }

  #builder(among: Map<Profile, RuleSetBuilder>, profile: Profile): RuleSetBuilder {
    // The number of a profile: no node has both kinds of it.
    const known = among.get(profile);
    if (known) return known;
    const made = new RuleSetBuilder(profile.id + 1, profile, this.#around, among === this.#light).extend();
    among.set(profile, made);
    return made;
  }
}
