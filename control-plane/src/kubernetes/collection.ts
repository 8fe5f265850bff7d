// SPDX-License-Identifier: Apache-2.0
//
// One collection of objects, kept as the API server has it: listed once, then watched. Bookmarks carry the version on while
// nothing changes; a version that the API server has forgotten (410) leads to a new list; what fails is tried again, later and
// later. While nobody answers, what was known stays.
import type { Logger } from '../logger.js';
import { type KubernetesApi, RefusedByApi } from './api.js';
import { BACKOFF, Backoff, type BackoffTimes, sleep } from './backoff.js';
import type { KubernetesObject, Resource } from './resources.js';

export interface Sink<F> {
  /** The whole collection. */
  replace(all: ReadonlyMap<string, F>): void;
  put(key: string, facts: F): void;
  remove(key: string): void;
}

export interface CollectionTimes extends BackoffTimes {
  /** The API server is asked to end a watch after this. */
  readonly watchMs: number;
  /** After this all is listed anew, in case a watch has missed something. */
  readonly relistMs: number;
}

export const TIMES: CollectionTimes = { ...BACKOFF, watchMs: 300_000, relistMs: 6 * 3600_000 };

export type CollectionState = 'starting' | 'current' | 'unreachable' | 'forbidden' | 'missing';

interface List {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly KubernetesObject[];
}

interface WatchEvent {
  readonly type?: string;
  readonly object?: KubernetesObject & { readonly code?: number; readonly message?: string };
}

const PAGE = 500;
const LARGEST_PAGE = 256 << 20;
const GONE = 410;
/** Between two watches of which the first ended at once. */
const SHORTEST_WATCH_MS = 1000;
const GRACE_MS = 30_000;

const wasForgotten = (error: unknown) => error instanceof RefusedByApi && error.status === GONE;

export class Collection<F> {
  readonly resource: Resource<F>;
  readonly #api: KubernetesApi;
  readonly #sink: Sink<F>;
  readonly #log: Logger;
  readonly #times: CollectionTimes;
  readonly #stopped = new AbortController();
  readonly #backoff: Backoff;
  readonly #keys = new Set<string>();
  #state: CollectionState = 'starting';
  #problem: string | null = null;
  #version: string | undefined;
  #listedMs = 0;
  #done: Promise<void> = Promise.resolve();
  /** Since the start. */
  readonly counts = { lists: 0, watches: 0, events: 0, forgotten: 0, failures: 0, unreadable: 0 };

  constructor(api: KubernetesApi, resource: Resource<F>, sink: Sink<F>, log: Logger, times = TIMES) {
    this.#api = api;
    this.resource = resource;
    this.#sink = sink;
    this.#log = log;
    this.#times = times;
    this.#backoff = new Backoff(times);
  }

  get state(): CollectionState {
    return this.#state;
  }

  /** null: none. */
  get problem(): string | null {
    return this.#problem;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** It has been listed once. */
  get isComplete(): boolean {
    return this.counts.lists > 0;
  }

  start(): void {
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        if (performance.now() - this.#listedMs > this.#times.relistMs) this.#version = undefined;
        this.#version ??= await this.#list();
        const began = performance.now();
        await this.#watch();
        this.#backoff.reset();
        const left = SHORTEST_WATCH_MS - (performance.now() - began);
        if (left > 0) await sleep(left, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
        await sleep(this.#backoff.nextMs(), signal);
      }
    }
  }

  async #list(): Promise<string> {
    const all = new Map<string, F>();
    let next = '';
    for (;;) {
      const query = new URLSearchParams({ limit: String(PAGE), ...(next !== '' && { continue: next }) });
      const path = `${this.resource.path}?${query}`;
      const accept = this.#accept('PartialObjectMetadataList');
      const page = await this.#api.answer<List>({ method: 'GET', path, mostBytes: LARGEST_PAGE, accept });
      for (const item of page.items ?? []) {
        const facts = this.#read(item);
        if (facts !== null) all.set(keyOf(item), facts);
      }
      next = page.metadata?.continue ?? '';
      if (next !== '') continue;
      this.counts.lists++;
      this.#listedMs = performance.now();
      this.#keys.clear();
      for (const key of all.keys()) this.#keys.add(key);
      this.#sink.replace(all);
      return page.metadata?.resourceVersion ?? '';
    }
  }

  async #watch(): Promise<void> {
    const { watchMs } = this.#times;
    const query = new URLSearchParams({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#version ?? '',
      timeoutSeconds: String(Math.ceil(watchMs / 1000)),
    });
    this.counts.watches++;
    // The API server may be gone without a word.
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(watchMs + GRACE_MS)]);
    const watcher = {
      opened: () => this.#turn('current', null),
      line: (text: string) => this.#take(JSON.parse(text) as WatchEvent),
    };
    await this.#api.watch(`${this.resource.path}?${query}`, watcher, signal, this.#accept('PartialObjectMetadata'));
  }

  #accept(form: string): string | undefined {
    return this.resource.metadataOnly ? `application/json;as=${form};g=meta.k8s.io;v=v1,application/json` : undefined;
  }

  #take({ type, object }: WatchEvent): void {
    if (!object) return;
    if (type === 'ERROR') throw new RefusedByApi(object.code ?? 500, object.message ?? 'the watch has failed');
    this.#version = object.metadata?.resourceVersion ?? this.#version;
    this.#backoff.reset();
    if (type === 'BOOKMARK') return;
    this.counts.events++;
    const key = keyOf(object);
    const facts = type === 'DELETED' ? null : this.#read(object);
    if (facts !== null) {
      this.#keys.add(key);
      this.#sink.put(key, facts);
    } else if (this.#keys.delete(key)) this.#sink.remove(key);
  }

  /** One object that cannot be read must not hide the others. */
  #read(object: KubernetesObject): F | null {
    try {
      return this.resource.read(object);
    } catch (error) {
      this.counts.unreadable++;
      this.#log.warn({ resource: this.resource.name, key: keyOf(object), err: error }, 'an object cannot be read');
      return null;
    }
  }

  #failed(error: unknown): void {
    if (wasForgotten(error)) {
      this.counts.forgotten++;
      this.#version = undefined;
      return;
    }
    this.counts.failures++;
    const { message } = error as Error;
    const status = error instanceof RefusedByApi ? error.status : 0;
    const { name, group } = this.resource;
    if (status === 403)
      this.#turn(
        'forbidden',
        `missing RBAC: the server's service account needs list and watch on ${name} of API group "${group}" (${message})`,
      );
    else if (status === 404) this.#turn('missing', `this cluster has no ${name}.${group}: apply the chart's crds`);
    else this.#turn('unreachable', message);
  }

  #turn(state: CollectionState, problem: string | null): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#problem = problem;
    const { name: resource } = this.resource;
    if (problem === null) this.#log.info({ resource, objects: this.size }, 'in step with Kubernetes');
    else this.#log.warn({ resource, problem }, 'out of step with Kubernetes; what was known stays in force');
  }
}

export function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
}
