// SPDX-License-Identifier: Apache-2.0
//
// Puts the certificates that agents have to trust into a ConfigMap, where their pods find them. It has to be there already: who may
// only patch one by name can do nothing else.
import type { Logger } from '../logger.js';
import { type KubernetesApi, RefusedByApi } from './api.js';
import { BACKOFF, Backoff, sleep } from './backoff.js';

export class AuthorityMap {
  readonly #api: KubernetesApi;
  readonly #path: string;
  readonly #name: string;
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  #wanted = '';
  #busy: Promise<void> | undefined;

  /** name: NAMESPACE/NAME */
  constructor(api: KubernetesApi, name: string, log: Logger) {
    const [namespace = '', map = ''] = name.split('/');
    this.#api = api;
    this.#name = name;
    this.#path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(map)}`;
    this.#log = log;
  }

  publish(certificates: string): void {
    this.#wanted = certificates;
    this.#busy ??= this.#run().finally(() => {
      this.#busy = undefined;
    });
  }

  async #run(): Promise<void> {
    const backoff = new Backoff(BACKOFF);
    const { signal } = this.#stopped;
    for (let written = ''; written !== this.#wanted && !signal.aborted; ) {
      const text = this.#wanted;
      try {
        await this.#api.ask('PATCH', this.#path, { data: { 'ca.pem': text } });
        written = text;
        this.#log.info({ configMap: this.#name }, 'agents find the authority here');
      } catch (error) {
        const isForbidden = error instanceof RefusedByApi && error.status === 403;
        const missing = isForbidden
          ? `missing RBAC: the server's service account needs patch on configmaps ${this.#name}; `
          : '';
        this.#log.warn({ problem: `${missing}${(error as Error).message}` }, 'agents do not learn the authority');
        await sleep(backoff.nextMs(), signal);
      }
    }
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#busy;
  }
}
