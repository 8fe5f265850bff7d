// SPDX-License-Identifier: Apache-2.0
//
// Which namespaces there are, with their labels.

import type { LabelSelector } from '../policy/foreign/index.js';
import { labelsMatch } from '../policy/index.js';
import type { Sink } from './collection.js';
import type { Resource } from './resources.js';

type Labels = Readonly<Record<string, string>>;

export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
}

export const NAMESPACES: Resource<Namespace> = {
  name: 'namespaces',
  group: '',
  path: '/api/v1/namespaces',
  read: ({ metadata }) => ({ name: metadata?.name ?? '', labels: metadata?.labels ?? {} }),
};

export class Namespaces {
  /** null: not listed yet. */
  #labels: Map<string, Labels> | null = null;
  /** Grows when a selector may mean others than before. */
  revision = 0;

  get isListed(): boolean {
    return this.#labels !== null;
  }

  /** Those of the names that are not there. */
  missing(names: readonly string[]): string[] {
    const known = this.#labels;
    return known === null || known.size === 0 ? [] : names.filter((name) => !known.has(name));
  }

  /** Sorted. */
  matching({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string[] {
    const plain = Object.entries(matchLabels).map(([key, value]) => ({
      key,
      operator: 'In' as const,
      values: [value],
    }));
    const requirements = [...plain, ...matchExpressions.map((it) => ({ ...it, values: it.values ?? [] }))];
    return [...(this.#labels ?? [])]
      .filter(([, labels]) => labelsMatch(requirements, labels))
      .map(([name]) => name)
      .sort();
  }

  sink(changed: () => void): Sink<Namespace> {
    const told = (isOther: boolean) => {
      if (isOther) this.revision++;
      changed();
    };
    return {
      replace: (all) => {
        this.#labels = new Map([...all.values()].map(({ name, labels }) => [name, labels]));
        told(true);
      },
      put: (_, { name, labels }) => {
        const before = this.#labels?.get(name);
        this.#labels?.set(name, labels);
        told(JSON.stringify(before) !== JSON.stringify(labels));
      },
      remove: (key) => told(this.#labels?.delete(key.slice(1)) ?? false),
    };
  }
}
