// SPDX-License-Identifier: Apache-2.0
//
// Which rules of the own side hold at an address, whoever is there.
import type { Direction, Entity } from '../model.js';
import type { CatalogRule } from './catalog.js';
import { type Match, matchOf, portsAt, servicePorts } from './match.js';
import type { Profile } from './profiles.js';
import { nobodyAt, type Remote } from './remotes.js';
import { placeKey, type Tree, type TreeNode } from './tree.js';

/** A peer of a rule begins or ends to hold at a network. */
interface Edge {
  readonly rule: CatalogRule;
  readonly peer: object;
  readonly holds: boolean;
}

type Holding = ReadonlyMap<object, CatalogRule | null>;

export interface Place {
  readonly id: number;
  /** In order. */
  readonly matches: readonly Match[];
}

const ANYWHERE: object = {};

export class PlacesOfProfile {
  readonly #own: Profile;
  readonly #direction: Direction;
  readonly #rules: readonly CatalogRule[];
  readonly #edges = new Map<string, Edge[]>();
  /** By tree node: which rules hold by their networks; null: the node lies in an exception of the peer. */
  readonly #byNode = new Map<TreeNode, Holding>();
  readonly #places = new Map<string, Place>();
  readonly #plain = new Map<TreeNode, Place>();
  /** No rule asks for more than networks. */
  readonly #isPlain: boolean;

  constructor(own: Profile, direction: Direction) {
    this.#own = own;
    this.#direction = direction;
    this.#rules = own.policies.flatMap(({ rules }) => rules[direction]);
    this.#isPlain = this.#rules.every((rule) => rule.entities.length + rule.services.length === 0);
    for (const rule of this.#rules) {
      if (rule.everything) this.#edge({ address: 0n, prefix: 0 }, { rule, peer: ANYWHERE, holds: true });
      for (const peer of rule.networks) {
        for (const network of peer.networks) this.#edge(network, { rule, peer, holds: true });
        for (const network of peer.except) this.#edge(network, { rule, peer, holds: false });
      }
    }
  }

  #edge(network: { address: bigint; prefix: number }, edge: Edge): void {
    const key = placeKey(network);
    const list = this.#edges.get(key);
    if (list) list.push(edge);
    else this.#edges.set(key, [edge]);
  }

  /** Nodes at which something may begin, in the order of the tree. */
  nodes(tree: Tree): TreeNode[] {
    const keys = [...this.#edges.keys()].map((key) => {
      const [address = '0', prefix = '0'] = key.split('/');
      return tree.at({ address: BigInt(address), prefix: Number(prefix) });
    });
    const all = new Set([tree.root, ...tree.special, ...keys]);
    return [...all].sort((a, b) => a.id - b.id);
  }

  #holding(node: TreeNode): Holding {
    const known = this.#byNode.get(node);
    if (known) return known;
    const around = node.parent ? this.#holding(node.parent) : new Map<object, CatalogRule | null>();
    const edges = this.#edges.get(placeKey(node));
    let found = around;
    if (edges) {
      const changed = new Map(around);
      for (const { peer, holds } of edges) if (!holds) changed.set(peer, null);
      for (const { rule, peer, holds } of edges) {
        const key = peer === ANYWHERE ? rule : peer;
        if (holds && changed.get(key) !== null) changed.set(key, rule);
      }
      found = changed;
    }
    this.#byNode.set(node, found);
    return found;
  }

  #isEntity(entity: Entity, { kind, node }: Remote): boolean {
    const cluster = (kind !== null && kind !== 'outside') || node.cluster;
    if (entity === 'Node') return kind === 'own node';
    if (entity === 'Cluster') return cluster;
    if (entity === 'APIServer') return node.apiServer;
    return !cluster && !node.loopback && !node.linkLocal;
  }

  at(remote: Remote): Place {
    if (!this.#isPlain) return this.#findPlace(remote);
    const known = this.#plain.get(remote.node) ?? this.#findPlace(nobodyAt(remote.node));
    this.#plain.set(remote.node, known);
    return known;
  }

  #findPlace(remote: Remote): Place {
    const { kind, node, roles } = remote;
    const services = roles.map((role) => `${role.itself}${role.key}${JSON.stringify(role.ports)}`).join();
    // Nodes at which nothing of this profile begins are as the network around them.
    const key = `${kind ?? ''}|${this.#stateOf(node)}|${services}`;
    const known = this.#places.get(key);
    if (known) return known;
    const place = { id: this.#places.size, matches: this.#matches(remote) };
    this.#places.set(key, place);
    return place;
  }

  /** Equal where the same rules hold. */
  #stateOf(node: TreeNode): string {
    const { loopback, linkLocal, cluster, apiServer, dns } = node;
    let refs = '';
    for (const rule of this.#rulesAt(node)) refs += `,${rule.ref}`;
    return `${+loopback}${+linkLocal}${+cluster}${+apiServer}${+dns}${refs}`;
  }

  /** Each once, in an order that is the same wherever the same rules hold. */
  #rulesAt(node: TreeNode): CatalogRule[] {
    const rules = new Set<CatalogRule>();
    for (const rule of this.#holding(node).values()) if (rule) rules.add(rule);
    return [...rules].sort((a, b) => a.ref - b.ref);
  }

  #matches(remote: Remote): Match[] {
    const destination = this.#direction === 'ingress' ? this.#own : null;
    const found: Match[] = [];
    const holding = new Set(this.#rulesAt(remote.node));
    for (const rule of this.#rules) {
      const byAddress = holding.has(rule) || rule.entities.some((entity) => this.#isEntity(entity, remote));
      if (byAddress) found.push(matchOf(rule, portsAt(rule, destination), false));
      for (const role of remote.roles)
        if (rule.services.includes(role.key)) found.push(matchOf(rule, servicePorts(rule, role), false));
    }
    return found.sort((a, b) => a.order - b.order);
  }
}
