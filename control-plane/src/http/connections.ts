// SPDX-License-Identifier: Apache-2.0
//
// Connections of people and machines. When there are too many, the one gives way that has been there longest without a token that
// holds: who connects and says nothing, or a byte now and then, keeps nobody out.
import type { Socket } from 'node:net';

export const MOST_CONNECTIONS = 512;

export class Connections {
  /** By peer, which the socket below TLS and the one above it have in common; in the order in which they came. */
  readonly #strangers = new Map<string, Socket>();
  readonly #most: number;
  #count = 0;
  /** Since the start. */
  evicted = 0;

  constructor(most = MOST_CONNECTIONS) {
    this.#most = most;
  }

  #key(socket: Socket): string {
    return `${socket.remoteAddress}:${socket.remotePort}`;
  }

  add(socket: Socket): void {
    const key = this.#key(socket);
    if (this.#count >= this.#most && !this.#evict()) {
      socket.destroy();
      return;
    }
    this.#count++;
    this.#strangers.set(key, socket);
    socket.once('close', () => {
      this.#count--;
      if (this.#strangers.get(key) === socket) this.#strangers.delete(key);
    });
  }

  #evict(): boolean {
    const [oldest] = this.#strangers;
    if (!oldest) return false;
    this.#strangers.delete(oldest[0]);
    this.evicted++;
    oldest[1].destroy();
    return true;
  }

  /** It has shown a token that holds. */
  known(socket: Socket): void {
    this.#strangers.delete(this.#key(socket));
  }
}
