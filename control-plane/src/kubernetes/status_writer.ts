// SPDX-License-Identifier: Apache-2.0
//
// Writes the status of policies, and events about what is wrong with them: only what differs from what is there.
import type { Logger } from '../logger.js';
import { API_GROUP, API_VERSION, pluralOf } from '../policy/index.js';
import { type KubernetesApi, RefusedByApi } from './api.js';
import { isSameStatus, type PolicyStatus } from './conditions.js';
import { keyOfPolicy } from './custom_policies.js';
import { type About, eventOf, postEvent } from './events.js';
import type { CustomPolicy } from './resources.js';
import { WriteQueue } from './write_queue.js';

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
  readonly #queue: WriteQueue<Wanted>;
  readonly #written = new Map<string, string>();
  readonly #counts = { written: 0, events: 0 };

  constructor(api: KubernetesApi, log: Logger) {
    this.#api = api;
    this.#queue = new WriteQueue(
      {
        write: (key, wanted) => this.#write(key, wanted),
        rights: 'patch on containerpolicies/status and clustercontainerpolicies/status, and create on events',
        complaint: 'the status of policies cannot be written',
      },
      log,
    );
  }

  get problem(): string | null {
    return this.#queue.problem;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get counts(): { readonly written: number; readonly events: number; readonly failures: number } {
    return { ...this.#counts, failures: this.#queue.failures };
  }

  want(object: CustomPolicy, status: PolicyStatus): void {
    const key = keyOfPolicy(object);
    if (isSameStatus(status, object.status as Partial<PolicyStatus> | undefined)) this.#queue.delete(key);
    else this.#queue.put(key, { object, status });
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
    this.#counts.written++;
    const before = conditionsOf(object);
    for (const condition of status.conditions) {
      if (!TELLING.has(condition.reason)) continue;
      const known = before.find(({ type }) => type === condition.type);
      if (known?.reason === condition.reason && known.message === condition.message) continue;
      const nowMs = Date.now();
      const suffix = `${nowMs.toString(16)}${condition.type.toLowerCase()}`;
      await postEvent(this.#api, eventOf(aboutOf(object), condition, suffix, nowMs));
      this.#counts.events++;
    }
  }

  /** Objects that are gone. */
  forget(stays: ReadonlySet<string>): void {
    for (const key of this.#written.keys()) if (!stays.has(key)) this.#written.delete(key);
    this.#queue.keep(stays);
  }

  close(): Promise<void> {
    return this.#queue.close();
  }
}
