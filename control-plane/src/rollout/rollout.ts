// SPDX-License-Identifier: Apache-2.0
//
// Policies and observations, and which rule sets each node gets. They live here in memory as the store has them.
import { createHash } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { CellwallError } from '../errors.js';
import { encodeRuleSets } from '../ingest/encode.js';
import {
  compile,
  type Observed,
  observationKey,
  type Policy,
  type PolicyContainer,
  parseDocuments,
  policyKey,
  type Selection,
  selects,
} from '../policy/index.js';
import type { StoredPolicy } from '../store/state.js';
import type { Store } from '../store/store.js';
import { type Change, Documents, type NewDocument, toStore } from './documents.js';
import type { NodeContainers } from './node_containers.js';

export interface RuleSetsPayload {
  readonly generation: number;
  /** SHA-256 of payload. */
  readonly digest: Buffer;
  readonly payload: Uint8Array;
}

export interface Done {
  readonly applied: Change[];
  readonly generation: number;
  /** Which containers each document is about. */
  readonly selections: ReadonlyMap<string, Selection>;
}

/** Rule sets that are kept; nodes with other combinations are compiled for again. */
const MOST_COMPILED = 64;

const keyOf = (combination: readonly number[]): string => combination.join(',');

export class Rollout extends EventEmitter<{ changed: [] }> {
  readonly #store: Store;
  #documents = new Documents([]);
  readonly #numbers = new Map<string, number>();
  /** By outline: nodes with the same combinations get the same bytes. */
  readonly #compiled = new Map<string, RuleSetsPayload>();
  #generation = 0;
  /** Changes are made one after the other: each sees what the one before has done. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(store: Store) {
    super();
    this.#store = store;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Of all kinds, sorted by key. */
  documents(): StoredPolicy[] {
    return this.#documents.stored();
  }

  /** Keys of the policies; what only observes is not among them. */
  selecting(container: PolicyContainer): string[] {
    return this.#documents.selecting(container);
  }

  observing(container: PolicyContainer): Observed {
    return this.#documents.observing(container);
  }

  async load(): Promise<void> {
    const { generation, policies } = await this.#store.writer.call('policies');
    const documents = new Documents(policies);
    await this.#learnNumbers(documents.policies);
    this.#documents = documents;
    this.#generation = generation;
    this.#compiled.clear();
  }

  /** Compilation must not wait for the writer, so it gets the numbers of all rules before. */
  async #learnNumbers(policies: readonly Policy[]): Promise<void> {
    const names = policies.flatMap((policy) =>
      ['(default deny)', '(loopback)', ...policy.egress.map((rule) => rule.name)].map(
        (rule) => [policyKey(policy), rule] as const,
      ),
    );
    const fresh = names.filter(([policy, rule]) => !this.#numbers.has(`${policy}\0${rule}`));
    if (fresh.length === 0) return;
    const numbers = await this.#store.writer.call('ruleNumbers', fresh);
    for (const [index, [policy, rule]] of fresh.entries())
      this.#numbers.set(`${policy}\0${rule}`, numbers[index] as number);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  /** All of the text or nothing of it. Throws invalid_policy with every problem that was found. */
  apply(text: string, source: string, dryRun: boolean): Promise<Done> {
    const { policies, observations, sources, problems } = parseDocuments(text, source);
    if (problems.length > 0)
      throw new CellwallError('invalid_policy', `${source} was refused; nothing was changed`, problems);
    const selections = new Map<string, Selection>([
      ...policies.map((policy) => [policyKey(policy), policy] as const),
      ...observations.map((observation) => [observationKey(observation), observation] as const),
    ]);
    const put = sources.map(toStore);
    return this.#inTurn(async () => {
      const applied = put.map((document) => this.#documents.changeBy(document));
      const changed = put.filter((_, index) => applied[index]?.change !== 'unchanged');
      if (!dryRun && changed.length > 0) {
        await this.#learnNumbers(policies);
        await this.#change(changed, []);
      }
      return { applied, generation: this.#generation, selections };
    });
  }

  delete(key: string): Promise<number> {
    return this.#inTurn(async () => {
      if (!this.#documents.has(key))
        throw new CellwallError('not_found', `there is no policy ${key}; 'cellwall policy get' lists what there is`);
      await this.#change([], [key]);
      return this.#generation;
    });
  }

  async #change(put: readonly NewDocument[], remove: readonly string[]): Promise<void> {
    await this.#store.writer.call('changePolicies', put, remove);
    await this.load();
    this.emit('changed');
  }

  /** The combinations of policies that a node has to know: each alone, and those that select one of its containers. */
  #combinations(policies: readonly Policy[], containers: NodeContainers): number[][] {
    const found = new Map<string, number[]>(policies.map((_, index) => [String(index), [index]]));
    for (const container of containers.all()) {
      const combination = policies.flatMap((policy, index) => (selects(policy, container) ? [index] : []));
      if (combination.length > 1) found.set(keyOf(combination), combination);
    }
    return [...found.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, combination]) => combination);
  }

  /** Which combinations, in short: when it changes, the node needs new rule sets. */
  outline(containers: NodeContainers): string {
    const { policies } = this.#documents;
    return `${this.#generation}:${this.#combinations(policies, containers).map(keyOf).join(';')}`;
  }

  /** undefined: there has never been a policy. */
  ruleSets(containers: NodeContainers): RuleSetsPayload | undefined {
    if (this.#generation === 0) return undefined;
    const outline = this.outline(containers);
    const known = this.#compiled.get(outline);
    if (known) return known;
    const { policies, observations } = this.#documents;
    const payload = encodeRuleSets(
      compile({
        generation: this.#generation,
        policies,
        observations,
        combinations: this.#combinations(policies, containers),
        ruleNumber: (policy, rule) => this.#numberOf(policy, rule),
      }),
    );
    const ruleSets = {
      generation: this.#generation,
      digest: createHash('sha256').update(payload).digest(),
      payload,
    };
    if (this.#compiled.size >= MOST_COMPILED) this.#compiled.clear();
    this.#compiled.set(outline, ruleSets);
    return ruleSets;
  }

  #numberOf(policy: string, rule: string): number {
    const number = this.#numbers.get(`${policy}\0${rule}`);
    if (number === undefined) throw new CellwallError('internal', `rule ${rule} of ${policy} has no number`);
    return number;
  }
}
