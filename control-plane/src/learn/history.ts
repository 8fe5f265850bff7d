// SPDX-License-Identifier: Apache-2.0
//
// From what a store has of a time to learned policies, with all that a person should know before applying them.
import { policyKey, type World } from '../policy/index.js';
import { type Conflicts, conflictsOf } from './conflicts.js';
import { type Coverage, type CoverageInput, coverageOf } from './coverage.js';
import { type Apart, type Learned, type LearnOptions, learn } from './learn.js';
import type { Place, Seen } from './seen.js';
import { writeLearned } from './write.js';

export interface History {
  readonly coverage: CoverageInput;
  /** Of the containers in question. */
  readonly seen: readonly Seen[];
  /** All that were there in that time. */
  readonly containers: readonly Place[];
}

/** One line for each policy. */
export interface LearnedSummary {
  readonly key: string;
  /** There is one of this name already, which this one would replace. */
  readonly replaces: boolean;
  readonly workload: string;
  readonly rules: number;
  readonly flows: number;
  /** Destinations that it accepts and that nobody went to. */
  readonly unseen: number;
}

export interface LearnedAnswer extends Conflicts {
  readonly coverage: Coverage;
  readonly policies: readonly LearnedSummary[];
  readonly apart: readonly Apart[];
  readonly yaml: string;
}

function summaries({ policies }: Learned, there: ReadonlySet<string>): LearnedSummary[] {
  return policies.map((policy) => {
    const rules = [...policy.egress, ...policy.ingress];
    const key = policyKey(policy);
    return {
      key,
      replaces: there.has(key),
      workload: policy.workload,
      rules: rules.length,
      flows: rules.reduce((sum, { evidence }) => sum + evidence.flows, 0),
      unseen: rules.reduce((sum, { evidence }) => sum + evidence.unseen, 0),
    };
  });
}

/** world: policies that are there already, services and addresses of the API server. */
export function learnFrom(history: History, options: LearnOptions, world: World): LearnedAnswer {
  const { seen, containers } = history;
  const coverage = coverageOf(history.coverage);
  const learned = learn({ seen, containers, services: world.services, apiServer: world.options.apiServer }, options);
  const conflicts = conflictsOf(learned.accepted, world);
  const policies = summaries(learned, new Set(world.policies.map(policyKey)));
  const replaced = policies.filter((it) => it.replaces).map(({ key }) => key);
  return {
    ...conflicts,
    coverage,
    policies,
    apart: learned.apart,
    yaml: writeLearned(learned, coverage, { ...conflicts, replaced }),
  };
}
