// SPDX-License-Identifier: Apache-2.0
//
// Identities: what policies can tell of who is at an address.
import type { ServicePort } from '../world.js';
import type { Profile } from './profiles.js';
import type { TreeNode } from './tree.js';

/** Who may be at an address. */
export interface Candidate {
  readonly profile: Profile;
  /** Reached through a service: at these ports only. null: at the address itself. */
  readonly via: readonly ServicePort[] | null;
}

/** The address is one of a service that rules name, or of one of its backends. */
export interface ServiceRole {
  readonly key: string;
  readonly itself: boolean;
  readonly ports: readonly ServicePort[];
}

/** outside: not of the cluster, but a service has it as its backend. */
export type Kind = 'container' | 'node' | 'own node' | 'outside';

export interface Remote {
  /** 0: no address has it, networks alone tell. */
  readonly identity: number;
  /** null: nobody is known there. */
  readonly kind: Kind | null;
  readonly node: TreeNode;
  readonly candidates: readonly Candidate[];
  readonly roles: readonly ServiceRole[];
}

export function nobodyAt(node: TreeNode): Remote {
  return { identity: 0, kind: null, node, candidates: [], roles: [] };
}

const portsKey = (ports: readonly ServicePort[] | null) =>
  ports ? ports.map((it) => `${it.protocol}/${it.port}/${it.target}/${it.name}`).join() : '';

/** Numbers are given in order and stay. */
export class Remotes {
  readonly list: Remote[] = [];
  readonly #known = new Map<string, Remote>();

  intern(kind: Kind, node: TreeNode, candidates: readonly Candidate[], roles: readonly ServiceRole[]): Remote {
    const who = [...new Map(candidates.map((it) => [`${it.profile.id}@${portsKey(it.via)}`, it]))].sort(byKey);
    const served = [...new Map(roles.map((it) => [`${it.itself}${it.key}@${portsKey(it.ports)}`, it]))].sort(byKey);
    const key = `${kind}|${node.id}|${who.map(([id]) => id).join(' ')}|${served.map(([id]) => id).join(' ')}`;
    const known = this.#known.get(key);
    if (known) return known;
    const remote = {
      identity: this.list.length + 1,
      kind,
      node,
      candidates: who.map(([, it]) => it),
      roles: served.map(([, it]) => it),
    };
    this.list.push(remote);
    this.#known.set(key, remote);
    return remote;
  }
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
