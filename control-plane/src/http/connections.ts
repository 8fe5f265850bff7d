// SPDX-License-Identifier: Apache-2.0
//
// Connections of people and machines. When there are too many, one gives way that has shown no token that holds: of the network that
// has most of these, the one that has been there longest. So who connects and says nothing, or a byte now and then, keeps nobody
// out, and while there are other networks also ends nobody's handshake.
import type { Socket } from 'node:net';
import { addressBits } from '../policy/network.js';

export const MOST_CONNECTIONS = 512;
/** Of an IPv4 address, the 96 bits before it. */
const V4_MAPPED = 0xffffn;

/** Whoever has one IPv6 address has the 2^64 beside it, too. */
function networkOf({ remoteAddress = '' }: Socket): string {
  const bits = addressBits(remoteAddress);
  if (bits === undefined) return remoteAddress;
  return bits >> 32n === V4_MAPPED ? `${bits}` : `${bits >> 64n}/64`;
}

/** What the socket below TLS and the one above it have in common. */
const peerOf = (socket: Socket) => `${socket.remoteAddress}:${socket.remotePort}`;

export class Connections {
  /** By network and peer; of a network in the order in which they came. */
  readonly #strangers = new Map<string, Map<string, Socket>>();
  readonly #most: number;
  #count = 0;
  /** Since the start. */
  evicted = 0;

  constructor(most = MOST_CONNECTIONS) {
    this.#most = most;
  }

  add(socket: Socket): void {
    if (this.#count >= this.#most && !this.#evict()) {
      socket.destroy();
      return;
    }
    // A socket that is closed has no address any more.
    const network = networkOf(socket);
    const peer = peerOf(socket);
    this.#count++;
    const neighbours = this.#strangers.get(network) ?? new Map<string, Socket>();
    this.#strangers.set(network, neighbours.set(peer, socket));
    socket.once('close', () => {
      this.#count--;
      if (this.#strangers.get(network)?.get(peer) === socket) this.#remove(network, peer);
    });
  }

  #remove(network: string, peer: string): void {
    const neighbours = this.#strangers.get(network);
    neighbours?.delete(peer);
    if (neighbours?.size === 0) this.#strangers.delete(network);
  }

  #evict(): boolean {
    let most: [string, Map<string, Socket>] | undefined;
    for (const entry of this.#strangers) if (!most || entry[1].size > most[1].size) most = entry;
    const [oldest] = most?.[1] ?? [];
    if (!most || !oldest) return false;
    this.#remove(most[0], oldest[0]);
    this.evicted++;
    oldest[1].destroy();
    return true;
  }

  /** It has shown a token that holds. */
  known(socket: Socket): void {
    this.#remove(networkOf(socket), peerOf(socket));
  }
}
