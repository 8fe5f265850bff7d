// SPDX-License-Identifier: Apache-2.0
import { CellwallError } from '../errors.js';
import {
  type Observation,
  type Observed,
  observedOf,
  type Parsed,
  type Policy,
  type PolicyContainer,
  parseObject,
  policyKey,
  type Source,
  selects,
} from '../policy/index.js';
import type { Origin, StoredPolicy } from '../store/policies.js';

export interface Change {
  readonly key: string;
  readonly change: 'created' | 'updated' | 'unchanged' | 'deleted';
  /** JSON of the document. */
  readonly before: string | null;
  readonly after: string;
}

/** What there is to know of a document that is to be stored. */
export type NewDocument = Pick<StoredPolicy, 'key' | 'namespace' | 'name' | 'document' | 'text' | 'origin'>;

export function toStore({ key, namespace, name, document, text }: Source, origin: Origin = ''): NewDocument {
  return { key, namespace, name, document: JSON.stringify(document), text, origin };
}

/** All documents of the store, read: policies and observations, sorted by key. */
export class Documents {
  readonly policies: readonly Policy[];
  readonly observations: readonly Observation[];
  readonly #stored: ReadonlyMap<string, StoredPolicy>;
  readonly #parsed: ReadonlyMap<string, Parsed>;

  /** What was read `before` and is as it was is not read again. */
  constructor(stored: readonly StoredPolicy[], before?: Documents) {
    const sorted = [...stored].sort((a, b) => (a.key < b.key ? -1 : 1));
    const parsed = sorted.map((it) => {
      const known = before?.has(it.key) && before.changeBy(it).change === 'unchanged' && before.#parsed.get(it.key);
      const found = known || parseObject(JSON.parse(it.document), it.key);
      if (found.sources.length !== 1 || found.problems.length > 0)
        throw new CellwallError('internal', `the stored policy ${it.key} cannot be read by this version`);
      return found;
    });
    this.#parsed = new Map(sorted.map((it, index) => [it.key, parsed[index] as Parsed]));
    this.policies = parsed.flatMap(({ policies }) => policies);
    this.observations = parsed.flatMap(({ observations }) => observations);
    this.#stored = new Map(sorted.map((it) => [it.key, it]));
  }

  stored(): StoredPolicy[] {
    return [...this.#stored.values()];
  }

  has(key: string): boolean {
    return this.#stored.has(key);
  }

  get(key: string): StoredPolicy | undefined {
    return this.#stored.get(key);
  }

  changeBy({ key, document }: Pick<NewDocument, 'key' | 'document'>): Change {
    const before = this.#stored.get(key)?.document ?? null;
    const change = before === null ? 'created' : before === document ? 'unchanged' : 'updated';
    return { key, change, before, after: document };
  }

  selecting(container: PolicyContainer): string[] {
    return this.policies.filter((policy) => selects(policy, container)).map(policyKey);
  }

  observing(container: PolicyContainer): Observed {
    return observedOf(this.observations, container);
  }
}
