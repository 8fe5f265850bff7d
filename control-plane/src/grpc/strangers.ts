// SPDX-License-Identifier: Apache-2.0
//
// Connections that have not shown a good certificate (yet): how many there may be, and what the log says of them.
import type { Socket } from 'node:net';
import { BoundedLog } from '../bounded_log.js';
import type { Logger } from '../logger.js';

/** More at once are closed: those of one address, so that it does not keep others out, and all together. */
export const MOST_OF_ONE_ADDRESS = 256;
export const MOST_STRANGERS = 1024;
const INTERVAL_MS = 10_000;

export class Strangers {
  readonly #log: Logger;
  readonly #refusals: BoundedLog;
  readonly #byAddress = new Map<string, number>();
  readonly #addressOf = new Map<string, string>();
  readonly #reasons = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #turnedAway = 0;

  constructor(log: Logger) {
    this.#log = log;
    this.#refusals = new BoundedLog(log, 'more connections for agents were refused');
    this.#timer = setInterval(() => this.#sumUp(), INTERVAL_MS).unref();
  }

  /** The socket below TLS, the one above it and the calls of gRPC (getPeer) have this in common. */
  #key(socket: Socket): string {
    return `${socket.remoteAddress}:${socket.remotePort}`;
  }

  /** False: there are too many. */
  take(socket: Socket): boolean {
    const address = socket.remoteAddress ?? '';
    const count = this.#byAddress.get(address) ?? 0;
    if (count >= MOST_OF_ONE_ADDRESS || this.#addressOf.size >= MOST_STRANGERS) {
      this.#turnedAway++;
      return false;
    }
    const key = this.#key(socket);
    this.#byAddress.set(address, count + 1);
    this.#addressOf.set(key, address);
    socket.once('close', () => this.#forget(key));
    return true;
  }

  #forget(key: string): void {
    const address = this.#addressOf.get(key);
    if (address === undefined) return;
    this.#addressOf.delete(key);
    this.#reasons.delete(key);
    const left = (this.#byAddress.get(address) ?? 1) - 1;
    if (left > 0) this.#byAddress.set(address, left);
    else this.#byAddress.delete(address);
  }

  /** It has shown a good certificate. */
  known(socket: Socket): void {
    this.#forget(this.#key(socket));
  }

  /** It stays with the strangers, for this reason. */
  stays(socket: Socket, reason: string): void {
    this.#reasons.set(this.#key(socket), reason);
  }

  /** peer: ADDRESS:PORT. */
  reason(peer: string): string | undefined {
    return this.#reasons.get(peer);
  }

  refused(socket: Socket, reason: string): void {
    this.#refusals.say('warn', { peer: socket.remoteAddress, reason }, 'a connection for agents was refused');
  }

  #sumUp(): void {
    if (this.#turnedAway > 0)
      this.#log.warn({ connections: this.#turnedAway }, 'connections for agents were closed: there are too many');
    this.#turnedAway = 0;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#refusals.close();
  }
}
