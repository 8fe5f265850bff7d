// SPDX-License-Identifier: Apache-2.0
//
// What the versions of one workload container have done so far, so that what is new can be told.
import { workloadOf } from '../../flows/workload.js';
import type { Seen } from '../seen.js';

/** From so many bare addresses at one port on, another one is nothing new. */
const CROWD = 16;
/** Callers that are no container of ours: others come all the time. */
const OUTSIDE = '(outside)';
export const NODE = '(node)';

const at = ({ protocol, port }: Seen): string => `${protocol}/${port}`;
const addressKey = (it: Seen): string => `${it.address} ${at(it)}`;

/** A workload rather than its container, which is often known only once it listens. */
function peerKey({ peer, name, address, direction }: Seen): string {
  if (peer) {
    if (peer.pod === '' && peer.container === '') return NODE;
    return `${peer.namespace}/${peer.pod === '' ? peer.container : workloadOf(peer)}`;
  }
  return direction === 'ingress' ? OUTSIDE : (name?.toLowerCase() ?? address);
}

export const doingKey = (it: Seen): string => [it.direction, peerKey(it), at(it)].join(' ');

export class Doings {
  readonly #keys = new Set<string>();
  readonly #addresses = new Set<string>();
  readonly #nameless = new Set<string>();
  readonly #crowds = new Map<string, Set<string>>();

  get size(): number {
    return this.#keys.size;
  }

  add(it: Seen): void {
    this.#keys.add(doingKey(it));
    if (it.peer || it.direction === 'ingress') return;
    this.#addresses.add(addressKey(it));
    if (it.name !== null) return;
    this.#nameless.add(addressKey(it));
    const crowd = this.#crowds.get(at(it)) ?? new Set();
    this.#crowds.set(at(it), crowd.add(it.address));
  }

  /** Names may have been observed for a part of the time only: then the address tells. */
  has(it: Seen): boolean {
    if (this.#keys.has(doingKey(it))) return true;
    if (it.peer || it.direction === 'ingress') return false;
    if (it.name !== null) return this.#nameless.has(addressKey(it));
    return this.#addresses.has(addressKey(it)) || (this.#crowds.get(at(it))?.size ?? 0) >= CROWD;
  }

  /** Of the keys of another. */
  shared(other: Doings): number {
    let count = 0;
    for (const key of other.#keys) if (this.#keys.has(key)) count++;
    return count;
  }
}
