// SPDX-License-Identifier: Apache-2.0
//
// Who is at each address, and what changes there.
import { addressBytes } from '../network.js';
import { bitsOf, canBePeer, type Service, serviceKey, type WorldContainer, type WorldNode } from '../world.js';
import type { Catalog } from './catalog.js';
import type { CompiledAddress, CompiledAmendment } from './compiled.js';
import type { Profile } from './profiles.js';
import { type Candidate, type Kind, type Remote, Remotes, type ServiceRole } from './remotes.js';
import type { Tree } from './tree.js';

export interface Resident {
  readonly container: WorldContainer;
  readonly profile: Profile;
  readonly bits: readonly bigint[];
}

export type AddressChanges = Pick<CompiledAmendment, 'addresses' | 'removedAddresses'>;

interface RecentChanges {
  readonly bits: readonly bigint[];
  /** undefined: nodes are not told alike. */
  readonly shared: AddressChanges | undefined;
}

interface State {
  readonly remote: Remote;
  /** Of a node's address, at that node. */
  readonly own: Remote | null;
  readonly nodes: readonly string[];
  /** Hosts that do not route to each other can use the same addresses: at these nodes, their own containers are meant. */
  readonly near: ReadonlyMap<string, Remote> | null;
}

export class Addresses {
  readonly remotes = new Remotes();
  readonly #catalog: Catalog;
  readonly #tree: Tree;
  readonly #holders = new Map<bigint, Set<Resident>>();
  readonly #nodes = new Map<bigint, string[]>();
  #services = new ServicesByAddress([]);
  readonly #states = new Map<bigint, State>();
  /** Of these, not every node is told the same. */
  readonly #particular = new Set<bigint>();
  #shared: { readonly list: readonly CompiledAddress[]; readonly changes: number } | undefined;
  /** What changed, in order. */
  readonly journal: bigint[] = [];
  /** By the place in the journal since which it is; of the journal as long as it is now. */
  readonly #recent = new Map<number, RecentChanges>();

  constructor(catalog: Catalog, tree: Tree) {
    this.#catalog = catalog;
    this.#tree = tree;
  }

  get size(): number {
    return this.#states.size;
  }

  hold(resident: Resident): void {
    if (!canBePeer(resident.container)) return;
    for (const bits of resident.bits) {
      const known = this.#holders.get(bits);
      if (known) known.add(resident);
      else this.#holders.set(bits, new Set([resident]));
    }
  }

  release(resident: Resident): void {
    for (const bits of resident.bits) {
      const known = this.#holders.get(bits);
      known?.delete(resident);
      if (known?.size === 0) this.#holders.delete(bits);
    }
  }

  /** Returns the addresses that this is about: a cluster joins node by node, so the others have to cost little. */
  setNodes(nodes: readonly WorldNode[]): Set<bigint> {
    const before = new Map(this.#nodes);
    this.#nodes.clear();
    for (const { name, addresses } of nodes)
      for (const bits of knownBits(addresses)) this.#nodes.set(bits, [...(this.#nodes.get(bits) ?? []), name]);
    const touched = new Set<bigint>();
    for (const bits of [...before.keys(), ...this.#nodes.keys()])
      if (before.get(bits)?.join(' ') !== this.#nodes.get(bits)?.join(' ')) touched.add(bits);
    return touched;
  }

  setServices(services: readonly Service[]): Set<bigint> {
    const before = this.#services;
    this.#services = new ServicesByAddress(services);
    return new Set([...before.all(), ...this.#services.all()]);
  }

  /** With what depends on them. */
  refresh(touched: ReadonlySet<bigint>): void {
    const all = new Set(touched);
    for (const bits of touched)
      for (const { addresses } of this.#services.behind(bits)) for (const it of addresses) all.add(it);
    for (const bits of all) this.#refreshOne(bits);
  }

  #refreshOne(bits: bigint): void {
    const before = this.#states.get(bits);
    const now = this.#stateOf(bits);
    if (same(before, now)) return;
    if (now) this.#states.set(bits, now);
    else this.#states.delete(bits);
    if (now && (now.near || now.nodes.length > 1)) this.#particular.add(bits);
    else this.#particular.delete(bits);
    this.journal.push(bits);
    this.#recent.clear();
  }

  #stateOf(bits: bigint): State | undefined {
    const nodes = this.#nodes.get(bits) ?? [];
    // Gone: to no rule is it another address than those around it, and an identity would be for nothing.
    if (nodes.length === 0 && !this.#isKnown(bits) && this.#services.behind(bits).length === 0) return undefined;
    const kind = nodes.length > 0 ? 'node' : this.#isKnown(bits) ? 'container' : 'outside';
    const found = this.#remoteAt(bits, '', kind);
    const own = nodes.length > 0 ? this.#remoteAt(bits, '', 'own node') : null;
    const near = new Map<string, Remote>();
    for (const node of this.#contenders(bits)) {
      const remote = this.#remoteAt(bits, node, kind);
      if (remote !== found) near.set(node, remote);
    }
    const matters = nodes.length > 0 || [found, ...near.values()].some((it) => this.#matters(it));
    if (!matters) return undefined;
    return { remote: found, own, nodes, near: near.size > 0 ? near : null };
  }

  #isKnown(bits: bigint): boolean {
    return this.#at(bits).size > 0 || this.#services.at(bits).length > 0;
  }

  /** Nodes whose containers have an address that those of others have as well: it, or one behind it. */
  #contenders(bits: bigint): Set<string> {
    const all = [bits, ...this.#services.at(bits).flatMap(({ backends }) => backends)];
    const found = new Set<string>();
    for (const it of all) {
      const nodes = new Set([...this.#at(it)].map(({ container }) => container.node));
      if (nodes.size > 1) for (const node of nodes) found.add(node);
    }
    return found;
  }

  /** Containers that have the address for themselves. */
  #at(bits: bigint): ReadonlySet<Resident> {
    return this.#nodes.has(bits) ? NOBODY : (this.#holders.get(bits) ?? NOBODY);
  }

  #profilesAt(bits: bigint, node: string): Profile[] {
    const all = [...this.#at(bits)];
    const near = all.filter(({ container }) => container.node === node);
    return (near.length > 0 ? near : all).map(({ profile }) => profile);
  }

  #remoteAt(bits: bigint, node: string, kind: Kind): Remote {
    const direct = this.#profilesAt(bits, node).map((profile): Candidate => ({ profile, via: null }));
    const behind = this.#services
      .at(bits)
      .flatMap(({ backends, service: { ports } }) =>
        backends.flatMap((it) => this.#profilesAt(it, node).map((profile): Candidate => ({ profile, via: ports }))),
      );
    return this.remotes.intern(kind, this.#tree.find(bits), [...direct, ...behind], this.#rolesAt(bits));
  }

  #rolesAt(bits: bigint): ServiceRole[] {
    const roles = (services: readonly Served[], itself: boolean) =>
      services
        .map(({ service }) => ({ key: serviceKey(service), itself, ports: service.ports }))
        .filter(({ key }) => this.#catalog.services.has(key));
    return [...roles(this.#services.at(bits), true), ...roles(this.#services.behind(bits), false)];
  }

  #matters({ candidates, roles }: Remote): boolean {
    return (
      this.#catalog.usesCluster || roles.length > 0 || candidates.some(({ profile }) => profile.selectors.length > 0)
    );
  }

  /** As a node sees it; undefined: networks alone tell. */
  compiled(bits: bigint, node: string): CompiledAddress | undefined {
    const state = this.#states.get(bits);
    if (!state) return undefined;
    const { remote, own, nodes, near } = state;
    const address = { address: addressBytes(bits), identity: (near?.get(node) ?? remote).identity };
    if (!own) return address;
    return { ...address, node: nodes.includes(node) ? node : (nodes[0] as string), ownIdentity: own.identity };
  }

  /** Since a place in the journal, as a node sees it: the same object for all nodes that are told alike. */
  changesSince(position: number, node: string): AddressChanges {
    const known = this.#recent.get(position) ?? this.#gather(position);
    this.#recent.set(position, known);
    return known.shared ?? this.#changesOf(known.bits, node);
  }

  #gather(position: number): RecentChanges {
    const bits = [...new Set(this.journal.slice(position))];
    const isAlike = !bits.some((it) => this.#particular.has(it));
    return { bits, shared: isAlike ? this.#changesOf(bits, '') : undefined };
  }

  #changesOf(changed: readonly bigint[], node: string): AddressChanges {
    const now = changed.map((bits) => ({ bits, address: this.compiled(bits, node) }));
    return {
      addresses: now.flatMap(({ address }) => address ?? []),
      removedAddresses: now.filter(({ address }) => !address).map(({ bits }) => addressBytes(bits)),
    };
  }

  /** What all nodes are told alike: the same list until something changes. */
  shared(): readonly CompiledAddress[] {
    if (this.#shared?.changes !== this.journal.length) {
      const bits = [...this.#states.keys()].filter((it) => !this.#particular.has(it));
      this.#shared = { list: bits.flatMap((it) => this.compiled(it, '') ?? []), changes: this.journal.length };
    }
    return this.#shared.list;
  }

  /** What a node is told beside them. */
  particular(node: string): CompiledAddress[] {
    return [...this.#particular].flatMap((bits) => this.compiled(bits, node) ?? []);
  }
}

const NOBODY: ReadonlySet<Resident> = new Set();

const bitsByList = new WeakMap<readonly string[], readonly bigint[]>();

/** Nodes are set anew with each that comes; their lists of addresses stay the same objects. */
function knownBits(addresses: readonly string[]): readonly bigint[] {
  const bits = bitsByList.get(addresses) ?? bitsOf(addresses);
  bitsByList.set(addresses, bits);
  return bits;
}

interface Served {
  readonly service: Service;
  readonly addresses: readonly bigint[];
  readonly backends: readonly bigint[];
}

class ServicesByAddress {
  readonly #at = new Map<bigint, Served[]>();
  readonly #behind = new Map<bigint, Served[]>();

  constructor(services: readonly Service[]) {
    for (const service of services) {
      const served = { service, addresses: bitsOf(service.addresses), backends: bitsOf(service.backends) };
      for (const bits of new Set(served.addresses)) this.#at.set(bits, [...this.at(bits), served]);
      for (const bits of new Set(served.backends)) this.#behind.set(bits, [...this.behind(bits), served]);
    }
  }

  at(bits: bigint): readonly Served[] {
    return this.#at.get(bits) ?? [];
  }

  behind(bits: bigint): readonly Served[] {
    return this.#behind.get(bits) ?? [];
  }

  all(): bigint[] {
    return [...this.#at.keys(), ...this.#behind.keys()];
  }
}

function same(a: State | undefined, b: State | undefined): boolean {
  if (!a || !b) return a === b;
  const equal = a.remote === b.remote && a.own === b.own && a.nodes.join(' ') === b.nodes.join(' ');
  const near = (state: State) => [...(state.near ?? [])].map(([node, { identity }]) => `${node} ${identity}`).join();
  return equal && near(a) === near(b);
}
