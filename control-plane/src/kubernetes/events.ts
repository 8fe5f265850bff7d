// SPDX-License-Identifier: Apache-2.0
//
// Events of Kubernetes about one object. Those about objects whose status is not ours have names made from what they say, so that
// a server that starts anew does not say it twice.
import { createHash } from 'node:crypto';
import type { Logger } from '../logger.js';
import { type KubernetesApi, RefusedByApi } from './api.js';

export interface About {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** undefined: it is in none. */
  readonly namespace?: string | undefined;
  readonly uid?: string | undefined;
}

export interface Told {
  readonly reason: string;
  readonly message: string;
}

/** Of objects that are in no namespace. */
const EVENTS_NAMESPACE = 'default';
const LONGEST_MESSAGE = 1000;
const LONGEST_NAME = 200;
const BETWEEN_MS = 50;
/** After a failure. */
const PAUSE_MS = 5000;
const GONE = new Set([404, 409]);

export function eventOf(about: About, { reason, message }: Told, suffix: string, nowMs: number) {
  const time = new Date(nowMs).toISOString();
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: {
      name: `${about.name.slice(0, LONGEST_NAME)}.${suffix}`,
      namespace: about.namespace ?? EVENTS_NAMESPACE,
    },
    involvedObject: about,
    type: 'Warning',
    reason,
    message: message.slice(0, LONGEST_MESSAGE),
    source: { component: 'cellwall' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

export const postEvent = (api: KubernetesApi, event: ReturnType<typeof eventOf>) =>
  api.ask('POST', `/api/v1/namespaces/${encodeURIComponent(event.metadata.namespace)}/events`, event);

/** One after the other; of an object that changes faster than it can be told, only the last counts. */
export class Events {
  readonly #api: KubernetesApi;
  readonly #log: Logger;
  readonly #waiting = new Map<string, { readonly about: About; readonly told: Told }>();
  /** By object: what was said of it last. */
  readonly #said = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> = Promise.resolve();
  #closed = false;
  #problem: string | null = null;
  readonly counts = { written: 0, failures: 0 };

  constructor(api: KubernetesApi, log: Logger) {
    this.#api = api;
    this.#log = log;
  }

  get problem(): string | null {
    return this.#problem;
  }

  /** All that there is to say now, by object; others are forgotten. */
  want(all: ReadonlyMap<string, { readonly about: About; readonly told: Told }>): void {
    for (const key of this.#said.keys()) if (!all.has(key)) this.#said.delete(key);
    for (const key of this.#waiting.keys()) if (!all.has(key)) this.#waiting.delete(key);
    for (const [key, it] of all) if (this.#said.get(key) !== suffixOf(it)) this.#waiting.set(key, it);
    this.#soon(0);
  }

  #soon(ms: number): void {
    if (this.#closed || this.#timer || this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#busy = this.#next();
    }, ms);
  }

  async #next(): Promise<void> {
    const [entry] = this.#waiting;
    let pause = BETWEEN_MS;
    if (entry) {
      const [key, it] = entry;
      try {
        await this.#write(it);
        this.#said.set(key, suffixOf(it));
        if (this.#waiting.get(key) === it) this.#waiting.delete(key);
        this.#problem = null;
      } catch (error) {
        pause = this.#failed(error as Error);
      }
    }
    this.#timer = undefined;
    this.#soon(pause);
  }

  async #write(it: { readonly about: About; readonly told: Told }): Promise<void> {
    try {
      await postEvent(this.#api, eventOf(it.about, it.told, suffixOf(it), Date.now()));
      this.counts.written++;
    } catch (error) {
      // Said before, or the namespace is gone.
      if (error instanceof RefusedByApi && GONE.has(error.status)) return;
      throw error;
    }
  }

  #failed(error: Error): number {
    this.counts.failures++;
    const isForbidden = error instanceof RefusedByApi && error.status === 403;
    const problem = isForbidden
      ? `missing RBAC: the server's service account needs create on events (${error.message})`
      : error.message;
    if (problem !== this.#problem) this.#log.warn({ problem }, 'events cannot be written');
    this.#problem = problem;
    return PAUSE_MS;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#busy;
  }
}

const suffixOf = ({ about, told }: { readonly about: About; readonly told: Told }): string =>
  createHash('sha256')
    .update(JSON.stringify([about.uid, told]))
    .digest('hex')
    .slice(0, 16);
