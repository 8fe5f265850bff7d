// SPDX-License-Identifier: Apache-2.0
//
// Keeps in step with Kubernetes: pods, services and nodes for what policies mean, policies themselves, and their status.
import type { Logger } from '../logger.js';
import { CRD_KINDS, type CrdKind, canBePeer, type Policy, selects } from '../policy/index.js';
import type { ClusterKind } from '../rollout/cluster.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Store } from '../store/store.js';
import type { KubernetesApi } from './api.js';
import { Collection, type CollectionTimes, type Sink, TIMES } from './collection.js';
import { type NodeState, statusOf } from './conditions.js';
import { CustomPolicies, keyOfPolicy } from './custom_policies.js';
import { customPolicies, NAMESPACES, NODES, PODS, type Resource } from './resources.js';
import { JoinedServices, SERVICES, SLICES } from './services.js';
import { StatusWriter } from './status_writer.js';

/** Changes of objects come in crowds. */
const POLICIES_MS = 50;
const STATUS_MS = 500;
const IDLE_MS = 10_000;
const MOST_NAMED = 5;

export class Informers {
  readonly #api: KubernetesApi;
  readonly #store: Store;
  readonly #rollout: Rollout;
  readonly #log: Logger;
  readonly #times: CollectionTimes;
  readonly #collections: Collection<unknown>[] = [];
  readonly #services = new JoinedServices();
  readonly #namespaces = new Set<string>();
  readonly #policies: CustomPolicies;
  readonly status: StatusWriter;
  readonly #idle = new WeakMap<Policy, { readonly idle: boolean; readonly atMs: number }>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #busy: Promise<unknown> = Promise.resolve();
  readonly #tellStatus = () => this.#soon('status', STATUS_MS, () => this.#writeStatus());

  constructor(api: KubernetesApi, store: Store, rollout: Rollout, log: Logger, times: CollectionTimes = TIMES) {
    this.#api = api;
    this.#store = store;
    this.#rollout = rollout;
    this.#log = log.child({ part: 'kubernetes' });
    this.#times = times;
    this.#policies = new CustomPolicies(rollout);
    this.status = new StatusWriter(api, this.#log);
  }

  start(): void {
    this.#watch(PODS, this.#clusterSink('pod'));
    this.#watch(NODES, this.#clusterSink('node', this.#tellStatus));
    this.#watch(SERVICES, this.#serviceSink());
    this.#watch(SLICES, this.#sliceSink());
    this.#watch(NAMESPACES, this.#namespaceSink());
    for (const kind of CRD_KINDS) this.#watch(customPolicies(kind), this.#policySink(kind));
    this.#rollout.on('applied', this.#tellStatus);
    this.#rollout.on('changed', this.#tellStatus);
    for (const collection of this.#collections) collection.start();
  }

  get collections(): readonly Collection<unknown>[] {
    return this.#collections;
  }

  #watch<F>(resource: Resource<F>, sink: Sink<F>): void {
    this.#collections.push(
      new Collection(this.#api, resource, sink, this.#log, this.#times) as unknown as Collection<unknown>,
    );
  }

  #clusterSink<K extends ClusterKind>(kind: K, also: () => void = () => {}): Sink<never> {
    const { cluster } = this.#rollout;
    const told = (isNew: boolean) => {
      if (!isNew) return;
      this.#rollout.clusterChanged();
      also();
    };
    return {
      replace: (all) => told(cluster.replace(kind, all)),
      put: (key, facts) => told(cluster.put(kind, key, facts)),
      remove: (key) => told(cluster.remove(kind, key)),
    };
  }

  /** Only when both lists are there: services without backends would be others than before. */
  #joined(key?: string): void {
    const listed = [SERVICES.name, SLICES.name].every((name) =>
      this.#collections.some((it) => it.resource.name === name && it.isComplete),
    );
    if (!listed) return;
    const { cluster } = this.#rollout;
    const one = key === undefined ? undefined : this.#services.one(key);
    const isNew =
      key === undefined
        ? cluster.replace('service', this.#services.all())
        : one
          ? cluster.put('service', key, one)
          : cluster.remove('service', key);
    if (isNew) this.#rollout.clusterChanged();
  }

  #serviceSink(): Sink<Parameters<JoinedServices['services']['set']>[1]> {
    const { services } = this.#services;
    return {
      replace: (all) => {
        services.clear();
        for (const [key, facts] of all) services.set(key, facts);
        this.#joined();
      },
      put: (key, facts) => {
        services.set(key, facts);
        this.#joined(key);
      },
      remove: (key) => {
        services.delete(key);
        this.#joined(key);
      },
    };
  }

  #sliceSink(): Sink<Parameters<JoinedServices['putSlice']>[1]> {
    return {
      replace: (all) => {
        this.#services.replaceSlices(all);
        this.#joined();
      },
      put: (key, slice) => this.#joined(this.#services.putSlice(key, slice)),
      remove: (key) => {
        const service = this.#services.removeSlice(key);
        if (service !== undefined) this.#joined(service);
      },
    };
  }

  #namespaceSink(): Sink<string> {
    const names = this.#namespaces;
    return {
      replace: (all) => {
        names.clear();
        for (const name of all.values()) names.add(name);
        this.#tellStatus();
      },
      put: (_, name) => {
        names.add(name);
        this.#tellStatus();
      },
      remove: (key) => {
        names.delete(key.slice(1));
        this.#tellStatus();
      },
    };
  }

  #policySink(kind: CrdKind): Sink<Parameters<CustomPolicies['put']>[2]> {
    const soon = () => this.#soon('policies', POLICIES_MS, () => this.#synchronise());
    return {
      replace: (all) => {
        this.#policies.replace(kind, all);
        soon();
      },
      put: (key, object) => {
        this.#policies.put(kind, key, object);
        soon();
      },
      remove: (key) => {
        this.#policies.remove(kind, key);
        soon();
      },
    };
  }

  /** One after the other, each at most once for what came meanwhile. */
  #soon(name: string, ms: number, work: () => Promise<void>): void {
    if (this.#timers.has(name)) return;
    const timer = setTimeout(() => {
      this.#timers.delete(name);
      this.#busy = this.#busy.then(work).catch((err) => this.#log.error({ err }, `${name} could not be seen to`));
    }, ms);
    this.#timers.set(name, timer);
  }

  async #synchronise(): Promise<void> {
    await this.#policies.synchronise();
    this.#tellStatus();
  }

  /** Those of Kubernetes, where each should have an agent; those with one, while Kubernetes has not told yet. */
  async #nodes(): Promise<NodeState[]> {
    const rows = await this.#store.reader.call('nodes');
    const agents = new Map(rows.map((it) => [it.name, it]));
    const names = this.#rollout.cluster.nodes.map(({ name }) => name);
    return (names.length > 0 ? names : [...agents.keys()]).map((name) => {
      const agent = agents.get(name);
      const error = agent?.appliedError ?? null;
      const problem = agent ? error : 'no agent';
      return { name, applied: agent?.appliedGeneration ?? 0, problem, refuses: error !== null };
    });
  }

  async #writeStatus(): Promise<void> {
    if (!this.#policies.isComplete) return;
    const objects = this.#policies.all();
    this.status.forget(new Set(objects.map(keyOfPolicy)));
    if (objects.length === 0) return;
    const nodes = await this.#nodes();
    const now = `${new Date().toISOString().slice(0, 19)}Z`;
    for (const object of objects) {
      const verdict = this.#policies.verdictOf(object, (policy) => this.#hints(policy));
      this.status.want(object, statusOf(object, verdict, nodes, now));
    }
  }

  #hints(policy: Policy): string[] {
    const known = this.#namespaces.size > 0;
    const unknown = known ? (policy.subject.namespaces ?? []).filter((name) => !this.#namespaces.has(name)) : [];
    if (unknown.length > 0) return [`there is no namespace ${unknown.slice(0, MOST_NAMED).join(', ')}`];
    return this.#isIdle(policy) ? ['it selects no container that runs now'] : [];
  }

  /** Asked of all containers, so not each time. */
  #isIdle(policy: Policy): boolean {
    const known = this.#idle.get(policy);
    if (known && performance.now() - known.atMs < IDLE_MS) return known.idle;
    const idle = !this.#rollout.containers().some((it) => canBePeer(it) && selects(policy, it));
    this.#idle.set(policy, { idle, atMs: performance.now() });
    return idle;
  }

  async close(): Promise<void> {
    this.#rollout.off('applied', this.#tellStatus);
    this.#rollout.off('changed', this.#tellStatus);
    await Promise.all(this.#collections.map((it) => it.close()));
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#busy;
    await this.status.close();
  }
}
