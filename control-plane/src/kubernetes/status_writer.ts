// SPDX-License-Identifier: Apache-2.0
//
// Writes the status of policies, and events about what is wrong with them: one after the other, never more than so many a second,
// and only what differs from what is there.
import type { Logger } from '../logger.js';
import { API_GROUP, API_VERSION, pluralOf } from '../policy/index.js';
import { type KubernetesApi, RefusedByApi } from './api.js';
import { isSameStatus, type PolicyStatus } from './conditions.js';
import { keyOfPolicy } from './custom_policies.js';
import { type About, eventOf, postEvent } from './events.js';
import type { CustomPolicy } from './resources.js';

const BETWEEN_MS = 50;
/** After a failure. */
const PAUSE_MS = 5000;
const NOT_FOUND = 404;

interface Wanted {
  readonly object: CustomPolicy;
  readonly status: PolicyStatus;
}

function pathOf({ kind, metadata }: CustomPolicy): string {
  const namespace = metadata?.namespace ? `/namespaces/${encodeURIComponent(metadata.namespace)}` : '';
  return `/apis/${API_GROUP}/${API_VERSION}${namespace}/${pluralOf(kind)}/${encodeURIComponent(metadata?.name ?? '')}/status`;
}

const conditionsOf = (object: CustomPolicy) => ((object.status ?? {}) as Partial<PolicyStatus>).conditions ?? [];

const aboutOf = ({ kind, metadata }: CustomPolicy): About => ({
  apiVersion: `${API_GROUP}/${API_VERSION}`,
  kind,
  name: metadata?.name ?? '',
  namespace: metadata?.namespace,
  uid: metadata?.uid,
});

/** Wrong, and not only late. */
const TELLING = new Set(['Invalid', 'Conflict', 'Refused']);

export class StatusWriter {
  readonly #api: KubernetesApi;
  readonly #log: Logger;
  /** By key: of an object that changes faster than it can be told, only the last counts. */
  readonly #waiting = new Map<string, Wanted>();
  readonly #written = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> = Promise.resolve();
  #closed = false;
  #problem: string | null = null;
  readonly counts = { written: 0, events: 0, failures: 0 };

  constructor(api: KubernetesApi, log: Logger) {
    this.#api = api;
    this.#log = log;
  }

  get problem(): string | null {
    return this.#problem;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  want(object: CustomPolicy, status: PolicyStatus): void {
    const key = keyOfPolicy(object);
    if (isSameStatus(status, object.status as Partial<PolicyStatus> | undefined)) this.#waiting.delete(key);
    else this.#waiting.set(key, { object, status });
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
      const [key, wanted] = entry;
      try {
        await this.#write(key, wanted);
        this.#problem = null;
      } catch (error) {
        pause = this.#failed(error as Error);
      }
      if (this.#waiting.get(key) === wanted && pause === BETWEEN_MS) this.#waiting.delete(key);
    }
    this.#timer = undefined;
    this.#soon(pause);
  }

  async #write(key: string, { object, status }: Wanted): Promise<void> {
    const text = `${object.metadata?.uid} ${object.metadata?.resourceVersion} ${JSON.stringify(status)}`;
    // The watch has not told of our own writing yet.
    if (this.#written.get(key) === text) return;
    try {
      await this.#api.ask('PATCH', pathOf(object), { status });
    } catch (error) {
      if (error instanceof RefusedByApi && error.status === NOT_FOUND) return;
      throw error;
    }
    this.#written.set(key, text);
    this.counts.written++;
    const before = conditionsOf(object);
    for (const condition of status.conditions) {
      if (!TELLING.has(condition.reason)) continue;
      const known = before.find(({ type }) => type === condition.type);
      if (known?.reason === condition.reason && known.message === condition.message) continue;
      const nowMs = Date.now();
      const suffix = `${nowMs.toString(16)}${condition.type.toLowerCase()}`;
      await postEvent(this.#api, eventOf(aboutOf(object), condition, suffix, nowMs));
      this.counts.events++;
    }
  }

  #failed(error: Error): number {
    this.counts.failures++;
    const isForbidden = error instanceof RefusedByApi && error.status === 403;
    const problem = isForbidden
      ? `missing RBAC: the server's service account needs patch on containerpolicies/status and clustercontainerpolicies/status, and create on events (${error.message})`
      : error.message;
    if (problem !== this.#problem) this.#log.warn({ problem }, 'the status of policies cannot be written');
    this.#problem = problem;
    return PAUSE_MS;
  }

  /** Objects that are gone. */
  forget(stays: ReadonlySet<string>): void {
    for (const key of this.#written.keys()) if (!stays.has(key)) this.#written.delete(key);
    for (const key of this.#waiting.keys()) if (!stays.has(key)) this.#waiting.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#busy;
  }
}
