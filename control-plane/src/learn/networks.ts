// SPDX-License-Identifier: Apache-2.0
//
// Many addresses as few networks, as narrow as that allows.
import { addressBits, addressText, prefixMask } from '../policy/index.js';

export interface Summary {
  /** Single addresses have no prefix length. */
  readonly networks: readonly string[];
  /** Addresses in them that were not among those given. */
  readonly unseen: number;
}

const WHOLE = 128;
const V4_PREFIX = 96;

/** How many leading bits two addresses share. */
function common(a: bigint, b: bigint): number {
  const differing = a ^ b;
  return differing === 0n ? WHOLE : WHOLE - differing.toString(2).length;
}

function networkText(address: bigint, prefix: number): string {
  const network = addressText(address & prefixMask(prefix));
  if (prefix === WHOLE) return network;
  return `${network}/${network.includes(':') ? prefix : prefix - V4_PREFIX}`;
}

/**
 * Neighbours that share most become one network first. All that share as much are joined together, so that no network lies in
 * another. sorted: without doubles, of one family.
 */
function summarizeSorted(sorted: readonly bigint[], most: number): Summary {
  const shared = sorted.slice(1).map((address, index) => common(sorted[index] as bigint, address));
  const excess = sorted.length - most;
  const least = excess > 0 ? ([...shared].sort((a, b) => b - a)[excess - 1] as number) : WHOLE + 1;
  const networks: string[] = [];
  let unseen = 0;
  for (let first = 0, at = 0; at < sorted.length; at++) {
    if (at < shared.length && (shared[at] as number) >= least) continue;
    const prefix = shared.slice(first, at).reduce((least, it) => Math.min(least, it), WHOLE);
    networks.push(networkText(sorted[first] as bigint, prefix));
    unseen += 2 ** (WHOLE - prefix) - (at - first + 1);
    first = at + 1;
  }
  return { networks, unseen };
}

/** At most `most` networks of each family. What is no address is left out. */
export function summarize(addresses: Iterable<string>, most: number): Summary {
  const bits = [...new Set([...addresses].flatMap((it) => addressBits(it) ?? []))].sort((a, b) => (a < b ? -1 : 1));
  const isV4 = (it: bigint) => it >> 32n === 0xffffn;
  const [v4, v6] = [bits.filter(isV4), bits.filter((it) => !isV4(it))].map((it) => summarizeSorted(it, most));
  return {
    networks: [...(v4?.networks ?? []), ...(v6?.networks ?? [])],
    unseen: (v4?.unseen ?? 0) + (v6?.unseen ?? 0),
  };
}
