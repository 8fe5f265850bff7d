// SPDX-License-Identifier: Apache-2.0
//
// All networks that rules and options name, one within the other.
import type { Network } from '../model.js';
import { contains, LINK_LOCAL_NETWORKS, LOOPBACK_NETWORKS, prefixMask } from '../network.js';
import type { PolicyOptions } from '../world.js';
import type { Catalog } from './catalog.js';

/** What is known of all addresses of a network. */
export interface Traits {
  readonly loopback: boolean;
  readonly linkLocal: boolean;
  readonly cluster: boolean;
  readonly apiServer: boolean;
  readonly dns: boolean;
}

export interface TreeNode extends Traits {
  readonly id: number;
  readonly address: bigint;
  readonly prefix: number;
  readonly parent: TreeNode | null;
}

type Place = Pick<TreeNode, 'address' | 'prefix'>;

export function comparePlaces(a: Place, b: Place): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.prefix - b.prefix;
}

export const placeKey = ({ address, prefix }: Place): string => `${address}/${prefix}`;

/** Networks with traits that matter to every container. */
function special(options: PolicyOptions): (readonly [keyof Traits, readonly Network[]])[] {
  return [
    ['loopback', LOOPBACK_NETWORKS],
    ['linkLocal', LINK_LOCAL_NETWORKS],
    ['cluster', options.clusterNetworks],
    ['apiServer', options.apiServer],
    ['dns', options.dnsServers],
  ];
}

const NOTHING: Traits = { loopback: false, linkLocal: false, cluster: false, apiServer: false, dns: false };

export class Tree {
  readonly #byPrefix = new Map<number, Map<bigint, TreeNode>>();
  readonly #prefixes: number[];
  readonly root: TreeNode;
  /** Those with traits of their own. */
  readonly special: readonly TreeNode[];

  constructor(catalog: Catalog, options: PolicyOptions) {
    const wanted = new Map<string, { place: Place; traits: Partial<Record<keyof Traits, true>> }>();
    const add = ({ address, prefix }: Place, trait?: keyof Traits) => {
      const key = placeKey({ address, prefix });
      const found = wanted.get(key) ?? { place: { address, prefix }, traits: {} };
      if (trait) found.traits[trait] = true;
      wanted.set(key, found);
    };
    add({ address: 0n, prefix: 0 });
    for (const [trait, networks] of special(options)) for (const network of networks) add(network, trait);
    for (const { rules } of catalog.policies)
      for (const rule of [...rules.egress, ...rules.ingress])
        for (const peer of rule.networks) for (const network of [...peer.networks, ...peer.except]) add(network);
    const sorted = [...wanted.values()].sort((a, b) => comparePlaces(a.place, b.place));
    const open: TreeNode[] = [];
    const found: TreeNode[] = [];
    const marked: TreeNode[] = [];
    for (const { place, traits } of sorted) {
      while (open.length > 0 && !contains(open.at(-1) as TreeNode, place)) open.pop();
      const parent = open.at(-1) ?? null;
      const { loopback, linkLocal, cluster, apiServer, dns } = parent ?? NOTHING;
      const node = { loopback, linkLocal, cluster, apiServer, dns, ...traits, ...place, id: found.length, parent };
      open.push(node);
      found.push(node);
      if (Object.keys(traits).length > 0) marked.push(node);
      const level = this.#byPrefix.get(place.prefix) ?? new Map<bigint, TreeNode>();
      this.#byPrefix.set(place.prefix, level.set(place.address, node));
    }
    this.root = found[0] as TreeNode;
    this.special = marked;
    this.#prefixes = [...this.#byPrefix.keys()].sort((a, b) => b - a);
  }

  /** Of a network that is in the tree. */
  at({ address, prefix }: Place): TreeNode {
    return this.#byPrefix.get(prefix)?.get(address) ?? this.root;
  }

  /** The longest network that holds an address. */
  find(address: bigint): TreeNode {
    for (const prefix of this.#prefixes) {
      const node = this.#byPrefix.get(prefix)?.get(address & prefixMask(prefix));
      if (node) return node;
    }
    return this.root;
  }
}
