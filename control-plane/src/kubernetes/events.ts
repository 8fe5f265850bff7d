// SPDX-License-Identifier: Apache-2.0
//
// Events of Kubernetes about one object. Those about objects whose status is not ours have names made from what they say, so that
// a server that starts anew does not say it twice.
import { createHash } from 'node:crypto';
import type { Logger } from '../logger.js';
import { type KubernetesApi, RefusedByApi } from './api.js';
import { WriteQueue } from './write_queue.js';

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

interface Item {
  readonly about: About;
  readonly told: Told;
}

export class Events {
  readonly #api: KubernetesApi;
  readonly #queue: WriteQueue<Item>;
  /** By object: what was said of it last. */
  readonly #said = new Map<string, string>();
  #written = 0;

  constructor(api: KubernetesApi, log: Logger) {
    this.#api = api;
    this.#queue = new WriteQueue(
      {
        write: (key, item) => this.#write(key, item),
        rights: 'create on events',
        complaint: 'events cannot be written',
      },
      log,
    );
  }

  get problem(): string | null {
    return this.#queue.problem;
  }

  get counts(): { readonly written: number; readonly failures: number } {
    return { written: this.#written, failures: this.#queue.failures };
  }

  /** All that there is to say now, by object; others are forgotten. */
  want(all: ReadonlyMap<string, Item>): void {
    for (const key of this.#said.keys()) if (!all.has(key)) this.#said.delete(key);
    this.#queue.keep(all);
    for (const [key, it] of all) if (this.#said.get(key) !== suffixOf(it)) this.#queue.put(key, it);
  }

  async #write(key: string, it: Item): Promise<void> {
    try {
      await postEvent(this.#api, eventOf(it.about, it.told, suffixOf(it), Date.now()));
      this.#written++;
    } catch (error) {
      // Said before, or the namespace is gone.
      if (!(error instanceof RefusedByApi && GONE.has(error.status))) throw error;
    }
    this.#said.set(key, suffixOf(it));
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}

const suffixOf = ({ about, told }: Item): string =>
  createHash('sha256')
    .update(JSON.stringify([about.uid, told]))
    .digest('hex')
    .slice(0, 16);
