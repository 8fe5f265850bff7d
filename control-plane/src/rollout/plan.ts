// SPDX-License-Identifier: Apache-2.0
//
// A change before it is made: what it does to the documents, and what policies would be with it.
import { CellwallError } from '../errors.js';
import { observationKey, type Policy, parseDocuments, policyKey, type Selection, type World } from '../policy/index.js';
import { type Change, type Documents, type NewDocument, toStore } from './documents.js';

export interface Plan {
  readonly put: readonly NewDocument[];
  readonly applied: Change[];
  /** Which containers each document is about. */
  readonly selections: ReadonlyMap<string, Selection>;
  /** That it was made from. */
  readonly generation: number;
  readonly before: World;
  readonly after: World;
}

/** What there is now. */
export interface Standing {
  readonly documents: Documents;
  readonly generation: number;
  readonly world: World;
}

const worlds = (world: World, policies: readonly Policy[]) => ({ before: world, after: { ...world, policies } });

/** The object in Kubernetes would bring it back. */
function refuseKept(documents: Documents, key: string): void {
  const origin = documents.get(key)?.origin;
  if (origin === 'networkpolicy')
    throw new CellwallError('conflict', `${key} is a NetworkPolicy of Kubernetes; change it there with kubectl`);
  if (origin === 'kubernetes')
    throw new CellwallError('conflict', `${key} is kept in Kubernetes; change it with kubectl`);
}

export function planApply({ documents, generation, world }: Standing, text: string, source: string): Plan {
  const { policies, observations, sources, problems } = parseDocuments(text, source);
  if (problems.length > 0)
    throw new CellwallError('invalid_policy', `${source} was refused; nothing was changed`, problems);
  for (const { key, kind } of sources)
    if (kind === 'NetworkPolicy')
      throw new CellwallError(
        'conflict',
        `${key} is read from Kubernetes and cannot be applied here: change it with kubectl, or make a ContainerPolicy of it with 'cellwall policy import'`,
      );
  const selections = new Map<string, Selection>([
    ...policies.map((policy) => [policyKey(policy), policy] as const),
    ...observations.map((observation) => [observationKey(observation), observation] as const),
  ]);
  const put = sources.map((source) => toStore(source));
  const applied = put.map((document) => documents.changeBy(document));
  const changed = new Set(applied.filter(({ change }) => change !== 'unchanged').map(({ key }) => key));
  for (const key of changed) refuseKept(documents, key);
  const kept = documents.policies.filter((policy) => !changed.has(policyKey(policy)));
  const fresh = policies.filter((policy) => changed.has(policyKey(policy)));
  return { put, applied, selections, generation, ...worlds(world, [...kept, ...fresh]) };
}

export function planDelete({ documents, generation, world }: Standing, key: string): Plan {
  const stored = documents.get(key);
  if (!stored)
    throw new CellwallError('not_found', `there is no policy ${key}; 'cellwall policy get' lists what there is`);
  refuseKept(documents, key);
  const own = documents.policies.filter((policy) => policyKey(policy) === key);
  const kept = documents.policies.filter((policy) => policyKey(policy) !== key);
  const selections = new Map<string, Selection>(own.map((policy) => [key, policy]));
  const applied: Change[] = [{ key, change: 'deleted', before: stored.document, after: stored.document }];
  return { put: [], applied, selections, generation, ...worlds(world, kept) };
}
