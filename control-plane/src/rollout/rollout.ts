// SPDX-License-Identifier: Apache-2.0
//
// Policies and observations, and which rule sets each node gets. They live here in memory as the store has them.
import { EventEmitter } from 'node:events';
import type { NewAuditEntry } from '../audit/chain.js';
import { CellwallError } from '../errors.js';
import { encodeRuleSets } from '../ingest/encode.js';
import {
  type Connection,
  type Evaluation,
  evaluate,
  type Feed,
  NO_OPTIONS,
  type Observed,
  type Policy,
  PolicyCompiler,
  type PolicyContainer,
  type PolicyOptions,
  parseObject,
  policyKey,
  type World,
  type WorldContainer,
} from '../policy/index.js';
import type { StoredPolicy } from '../store/policies.js';
import type { Decision } from '../store/proposals.js';
import type { ContainerFacts } from '../store/state.js';
import type { Store } from '../store/store.js';
import { Cluster } from './cluster.js';
import { type Change, Documents, type NewDocument } from './documents.js';
import { Inventory } from './inventory.js';
import { sameOptions, withServices } from './options.js';
import type { Doing, Done, RuleSetsPayload, Update } from './outcome.js';
import { type Plan, planApply, planDelete, type Standing } from './plan.js';
import { RuleNumbers } from './rule_numbers.js';

/** What comes alone waits this long for what belongs to it. */
const PAUSE_MS = 10;
/** Containers come in crowds: there is one amendment in this time. */
export const BATCH_MS = 50;

/** changed: nodes may lack something; applied: a node has told what is in force there. */
export class Rollout extends EventEmitter<{ changed: []; applied: [] }> {
  /** Kubernetes tells; clusterChanged makes it count. */
  readonly cluster = new Cluster();
  readonly #store: Store;
  readonly #given: PolicyOptions;
  #options: PolicyOptions;
  readonly #inventory = new Inventory();
  #documents = new Documents([]);
  readonly #numbers: RuleNumbers;
  #compiler: PolicyCompiler | undefined;
  #generation = 0;
  #batch: NodeJS.Timeout | undefined;
  #batchedMs = Number.NEGATIVE_INFINITY;
  /** Changes are made one after the other: each sees what the one before has done. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: Store, options: PolicyOptions = NO_OPTIONS) {
    super();
    this.#store = store;
    this.#given = options;
    this.#options = options;
    this.#numbers = new RuleNumbers(store);
  }

  get generation(): number {
    return this.#generation;
  }

  /** How many there are, with those that are away. */
  get nodes(): number {
    return this.#inventory.size;
  }

  /** Of all kinds, sorted by key. */
  documents(): StoredPolicy[] {
    return this.#documents.stored();
  }

  document(key: string): StoredPolicy | undefined {
    return this.#documents.get(key);
  }

  containers(): WorldContainer[] {
    return this.#inventory.containers();
  }

  /** Keys of the policies; what only observes is not among them. */
  selecting(container: PolicyContainer): string[] {
    return this.#documents.selecting(container);
  }

  observing(container: PolicyContainer): Observed {
    return this.#documents.observing(container);
  }

  /** What policies are applied to now, with these in place of those in force if they are given. */
  world(policies: readonly Policy[] = this.#documents.policies): World {
    const workloadOf = (it: WorldContainer) => this.cluster.workload(`${it.namespace}/${it.pod}`);
    return {
      policies,
      containers: this.containers().map((it) => ({ ...it, workload: workloadOf(it) })),
      services: this.cluster.services,
      nodes: this.#inventory.nodes,
      options: this.#options,
    };
  }

  explain(connection: Connection): Evaluation {
    return evaluate(this.world(), connection);
  }

  /** What a policy is compiled to for a node: rule sets of the containers that it selects, and their entries. */
  compiledFor(key: string, node: string): { ruleSets: number; entries: number } | null {
    const policy = this.#compiler?.catalog.policies.find((it) => policyKey(it.policy) === key);
    if (!policy || !this.#compiler) return null;
    const sets = this.#compiler
      .ruleSets(node)
      .map(({ set }) => set)
      .filter(({ policies }) => policies.includes(policy.subject));
    const entries = sets.map((it) => it.peers.length + it.ports.length + it.identities.length + it.names.length);
    return { ruleSets: sets.length, entries: entries.reduce((sum, count) => sum + count, 0) };
  }

  /** At the start, once. */
  async load(): Promise<void> {
    const { nodes, containers } = await this.#store.writer.call('inventory');
    for (const { name, addresses } of nodes) this.#inventory.setNode(name, addresses);
    const byNode = new Map<string, ContainerFacts[]>();
    for (const { node, ...facts } of containers) byNode.set(node, [...(byNode.get(node) ?? []), facts]);
    for (const [node, facts] of byNode) this.#inventory.update(node, facts, [], true);
    this.cluster.load(await this.#store.writer.call('cluster'));
    this.#takeCluster();
    await this.#reload();
  }

  async #reload(): Promise<void> {
    const { generation, policies } = await this.#store.writer.call('policies');
    const documents = new Documents(policies, this.#documents);
    await this.#numbers.learn(documents.policies);
    this.#documents = documents;
    this.#generation = generation;
    this.#compile();
  }

  #compile(): void {
    if (this.#generation === 0) return;
    this.#inventory.take();
    this.#compiler = new PolicyCompiler({
      generation: this.#generation,
      policies: this.#documents.policies,
      observations: this.#documents.observations,
      options: this.#options,
      nodes: this.#inventory.nodes,
      services: this.cluster.services,
      containers: this.#inventory.all(),
      revision: (this.#compiler?.revision ?? 0) + 1,
      ruleNumber: (policy, rule) => this.#numbers.of(policy, rule),
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  /** Checks a text. Throws invalid_policy with every problem that was found. */
  plan(text: string, source: string): Plan {
    return planApply(this.#standing(), text, source);
  }

  /** What the policies would be without one of them. */
  planDelete(key: string): Plan {
    return planDelete(this.#standing(), key);
  }

  /** Puts and deletes what is kept in Kubernetes, as one generation; nothing when nothing changes. */
  synchronise(
    put: readonly NewDocument[],
    remove: readonly string[],
    auditOf: (change: Change) => NewAuditEntry,
  ): Promise<number> {
    return this.#inTurn(async () => {
      const changes = put.map((document) => this.#documents.changeBy(document));
      const changed = put.filter((_, index) => changes[index]?.change !== 'unchanged');
      const gone = remove.filter((key) => this.#documents.get(key)?.origin);
      if (changed.length === 0 && gone.length === 0) return this.#generation;
      await this.#numbers.learn(changed.flatMap((it) => parseObject(JSON.parse(it.document), it.key).policies));
      const told = [
        ...changes.filter(({ change }) => change !== 'unchanged'),
        ...gone.map((key): Change => ({ key, change: 'deleted', before: null, after: '{}' })),
      ];
      await this.#change(changed, gone, told.map(auditOf));
      return this.#generation;
    });
  }

  #standing(): Standing {
    return { documents: this.#documents, generation: this.#generation, world: this.world() };
  }

  /** All of a plan or nothing of it. */
  apply({ put, selections }: Plan, { audit, decision, generation }: Doing): Promise<Done> {
    return this.#inTurn(async () => {
      if (generation !== undefined && generation !== this.#generation)
        throw new CellwallError('conflict', `the policies have changed: ${generation} has become ${this.#generation}`);
      const applied = put.map((document) => this.#documents.changeBy(document));
      const changed = put.filter((_, index) => applied[index]?.change !== 'unchanged');
      if (changed.length > 0 || decision) {
        await this.#numbers.learn(changed.flatMap((it) => parseObject(JSON.parse(it.document), it.key).policies));
        await this.#change(changed, [], audit, decision);
      }
      return { applied, generation: this.#generation, selections };
    });
  }

  delete(key: string, audit: readonly NewAuditEntry[]): Promise<number> {
    return this.#inTurn(async () => {
      if (!this.#documents.has(key))
        throw new CellwallError('not_found', `there is no policy ${key}; 'cellwall policy get' lists what there is`);
      await this.#change([], [key], audit);
      return this.#generation;
    });
  }

  async #change(
    put: readonly NewDocument[],
    remove: readonly string[],
    audit: readonly NewAuditEntry[],
    decision?: Decision,
  ): Promise<void> {
    await this.#store.writer.call('changePolicies', put, remove, audit, decision);
    await this.#reload();
    this.emit('changed');
  }

  /** A node has connected: its rule sets must not lack anything, so nothing waits for the batch. */
  joined(node: string, addresses: readonly string[], facts: readonly ContainerFacts[]): void {
    this.#inventory.setNode(node, addresses);
    this.#inventory.update(node, facts, [], true);
    this.#flush();
    this.#soon();
  }

  update(node: string, facts: readonly ContainerFacts[], removed: readonly number[], complete: boolean): void {
    if (this.#inventory.update(node, facts, removed, complete)) this.#soon();
  }

  #soon(): void {
    const waitMs = Math.max(PAUSE_MS, this.#batchedMs + BATCH_MS - performance.now());
    this.#batch ??= setTimeout(() => {
      this.#batch = undefined;
      this.#batchedMs = performance.now();
      this.#flush();
      this.emit('changed');
    }, waitMs).unref();
  }

  /** rollout.cluster has something new. */
  clusterChanged(): void {
    this.#soon();
  }

  /** Returns whether the options have changed, and all has to be compiled anew. */
  #takeCluster(): boolean {
    const { pods, services, nodes } = this.cluster.take();
    for (const key of pods) this.#inventory.setPod(key, this.cluster.pod(key));
    if (nodes) this.#inventory.setClusterNodes(this.cluster.nodes);
    if (!services) return false;
    const options = withServices(this.#given, this.cluster.services);
    if (!sameOptions(options, this.#options)) {
      this.#options = options;
      return true;
    }
    this.#compiler?.setServices(this.cluster.services);
    return false;
  }

  #flush(): void {
    const isOther = this.#takeCluster();
    const unsaved = this.cluster.takeUnsaved();
    if (unsaved.length > 0) this.#store.writer.call('changeCluster', unsaved).catch(() => {});
    if (isOther) {
      this.#compile();
      return;
    }
    const { changes, nodesChanged } = this.#inventory.take();
    if (nodesChanged) this.#compiler?.setNodes(this.#inventory.nodes);
    if (changes.length > 0) this.#compiler?.update(changes);
    if (this.#compiler?.isStale) this.#compile();
  }

  /** undefined: there has never been a policy. */
  ruleSets(feed: Feed): RuleSetsPayload | undefined {
    if (!this.#compiler) return undefined;
    return { generation: this.#generation, ...encodeRuleSets(feed.full(this.#compiler)) };
  }

  /** What a node lacks; undefined: nothing. takesDifferences: agents of before do not. */
  updateFor(feed: Feed, takesDifferences: boolean): Update | undefined {
    if (!this.#compiler) return undefined;
    const amendment = feed.amendment(this.#compiler);
    if (amendment === null) return undefined;
    if (amendment !== 'full') return { amendment };
    const difference = takesDifferences ? feed.difference(this.#compiler) : undefined;
    if (difference) return { difference };
    const ruleSets = this.ruleSets(feed);
    return ruleSets && { ruleSets };
  }
}
