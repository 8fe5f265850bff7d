// SPDX-License-Identifier: Apache-2.0
//
// Keeps in step with Kubernetes: pods, services and nodes for what policies mean, policies themselves, and their status.
import { setImmediate } from 'node:timers/promises';
import { grouped } from '../flows/group.js';
import type { Logger } from '../logger.js';
import { CRD_KINDS, type CrdKind, canBePeer, type Policy, selects, type WorldContainer } from '../policy/index.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Store } from '../store/store.js';
import type { KubernetesApi } from './api.js';
import { ClusterSinks } from './cluster_sinks.js';
import { Collection, type CollectionTimes, type Sink, TIMES } from './collection.js';
import { type NodeState, statusOf } from './conditions.js';
import { CustomPolicies, keyOfPolicy } from './custom_policies.js';
import { Events } from './events.js';
import { NAMESPACES, Namespaces } from './namespaces.js';
import { NETWORK_POLICIES, NetworkPolicies } from './network_policies.js';
import { customPolicies, type KubernetesObject, NODES, PODS, type Resource } from './resources.js';
import { SERVICES, SLICES } from './services.js';
import { StatusWriter } from './status_writer.js';
import { JOBS } from './workloads.js';

/** Changes of objects come in crowds. */
const POLICIES_MS = 50;
const STATUS_MS = 500;
const IDLE_MS = 10_000;
const MOST_NAMED = 5;
/** Statuses that are made in one go. */
const AT_ONCE = 50;

/** Containers by namespace. */
type Running = ReadonlyMap<string, readonly WorldContainer[]>;

export const NETWORK_POLICY_MODES = ['off', 'audit'] as const;
export type NetworkPolicyMode = (typeof NETWORK_POLICY_MODES)[number];

export interface InformerOptions {
  /** audit: NetworkPolicies are read, too, and refuse nothing. */
  readonly networkPolicies?: NetworkPolicyMode;
  readonly times?: CollectionTimes;
}

export class Informers {
  readonly #api: KubernetesApi;
  readonly #store: Store;
  readonly #rollout: Rollout;
  readonly #log: Logger;
  readonly #times: CollectionTimes;
  readonly #collections: Collection<unknown>[] = [];
  readonly #namespaces = new Namespaces();
  readonly #mode: NetworkPolicyMode;
  readonly networkPolicies: NetworkPolicies;
  readonly #policies: CustomPolicies;
  readonly status: StatusWriter;
  /** About NetworkPolicies, whose status is not ours. */
  readonly events: Events;
  readonly #idle = new WeakMap<Policy, { readonly idle: boolean; readonly atMs: number }>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #busy: Promise<unknown> = Promise.resolve();
  readonly #tellStatus = () => this.#soon('status', STATUS_MS, () => this.#writeStatus());

  constructor(
    api: KubernetesApi,
    store: Store,
    rollout: Rollout,
    log: Logger,
    { networkPolicies = 'off', times = TIMES }: InformerOptions = {},
  ) {
    this.#api = api;
    this.#mode = networkPolicies;
    this.#store = store;
    this.#rollout = rollout;
    this.#log = log.child({ part: 'kubernetes' });
    this.#times = times;
    this.#policies = new CustomPolicies(rollout);
    this.status = new StatusWriter(api, this.#log);
    this.events = new Events(api, this.#log);
    this.networkPolicies = new NetworkPolicies(rollout, this.#namespaces);
  }

  start(): void {
    const sinks = new ClusterSinks(this.#rollout, (name) =>
      this.#collections.some((it) => it.resource.name === name && it.isComplete),
    );
    this.#watch(PODS, sinks.pods());
    this.#watch(JOBS, sinks.jobs());
    this.#watch(NODES, sinks.nodes(this.#tellStatus));
    this.#watch(SERVICES, sinks.services());
    this.#watch(SLICES, sinks.slices());
    const namespacesChanged = () => {
      this.#tellStatus();
      this.#networkSoon();
    };
    this.#watch(NAMESPACES, this.#namespaces.sink(namespacesChanged));
    if (this.#mode === 'audit') this.#watch(NETWORK_POLICIES, this.#networkPolicySink());
    else this.#soon('networkpolicies', 0, () => this.networkPolicies.drop());
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

  #networkPolicySink(): Sink<KubernetesObject> {
    const policies = this.networkPolicies;
    const soon = () => this.#networkSoon();
    return {
      replace: (all) => {
        policies.replace(all);
        soon();
      },
      put: (key, object) => {
        policies.put(key, object);
        soon();
      },
      remove: (key) => {
        policies.remove(key);
        soon();
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
        if (this.#policies.put(kind, key, object)) soon();
        else this.#tellStatus();
      },
      remove: (key) => {
        this.#policies.remove(kind, key);
        soon();
      },
    };
  }

  #networkSoon(): void {
    if (this.#mode === 'off') return;
    this.#soon('networkpolicies', POLICIES_MS, async () => {
      await this.networkPolicies.synchronise();
      this.events.want(this.networkPolicies.told);
    });
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
    const running = grouped(
      this.#rollout
        .containers()
        .filter(canBePeer)
        .map((it) => [it.namespace, it] as const),
    );
    for (const [index, object] of objects.entries()) {
      // Rule sets do not wait for all of them.
      if (index % AT_ONCE === AT_ONCE - 1) await setImmediate();
      const verdict = this.#policies.verdictOf(object, (policy) => this.#hints(policy, running));
      this.status.want(object, statusOf(object, verdict, nodes, now));
    }
  }

  #hints(policy: Policy, running: Running): string[] {
    const unknown = this.#namespaces.missing(policy.subject.namespaces ?? []);
    if (unknown.length > 0) return [`there is no namespace ${unknown.slice(0, MOST_NAMED).join(', ')}`];
    return this.#isIdle(policy, running) ? ['it selects no container that runs now'] : [];
  }

  /** Asked of all containers, so not each time. */
  #isIdle(policy: Policy, running: Running): boolean {
    const known = this.#idle.get(policy);
    if (known && performance.now() - known.atMs < IDLE_MS) return known.idle;
    const namespaces = policy.subject.namespaces ?? [...running.keys()];
    const idle = !namespaces.some((name) => running.get(name)?.some((it) => selects(policy, it)));
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
    await this.events.close();
  }
}
