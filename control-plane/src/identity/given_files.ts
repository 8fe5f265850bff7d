// SPDX-License-Identifier: Apache-2.0
//
// Certificates from elsewhere, which their owner replaces while the server runs: cert-manager, or a Secret that changes.
import { EventEmitter } from 'node:events';
import type { GivenTls } from '../config.js';
import type { Logger } from '../logger.js';

const EVERY_MS = 30_000;

const isSame = (a: GivenTls, b: GivenTls): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && (a.clientCa?.toString() ?? '') === (b.clientCa?.toString() ?? '');

export class GivenFiles extends EventEmitter<{ changed: [] }> {
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #current: GivenTls;
  #problem = '';

  constructor(first: GivenTls, log: Logger, everyMs = EVERY_MS) {
    super();
    this.#current = first;
    this.#log = log;
    this.#timer = setInterval(() => this.#look(), everyMs).unref();
  }

  get current(): GivenTls {
    return this.#current;
  }

  /** Files that do not go together are mostly in the middle of being replaced. */
  #look(): void {
    try {
      const now = this.#current.reread();
      this.#problem = '';
      if (isSame(now, this.#current)) return;
      this.#current = now;
      this.#log.info('the certificate of --tls-cert was replaced');
      this.emit('changed');
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#problem) this.#log.warn({ problem: message }, 'the certificate before stays in use');
      this.#problem = message;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
