// SPDX-License-Identifier: Apache-2.0
//
// Rules that nothing used, and policies that select nobody.
import { type Policy, policyKey, selects } from '../../policy/index.js';
import type { DriftHistory, EmptyPolicy, Lived, StandingDocument, UnusedRule } from './model.js';

/** By so much of the time the first flow may come late: nobody called before. */
const LATE = 1 / 50;

export interface Unused {
  readonly rules: readonly UnusedRule[];
  readonly young: number;
  /** Not null: none can be judged. */
  readonly firstUs: number | null;
}

const ruleKey = (policy: string, rule: string): string => `${policy}\0${rule}`;

/** A rule that is younger than the time, or a time that is not on record, says nothing. */
export function unusedRules(
  policies: readonly Policy[],
  standing: ReadonlyMap<string, StandingDocument>,
  { rules: records, unusedSinceUs, unusedFirstUs, coverage: { untilUs } }: DriftHistory,
): Unused {
  const known = new Map(records.map((it) => [ruleKey(it.policy, it.rule), it]));
  const isShort = unusedFirstUs === null || unusedFirstUs > unusedSinceUs + (untilUs - unusedSinceUs) * LATE;
  const rules: UnusedRule[] = [];
  let young = 0;
  for (const policy of policies) {
    const key = policyKey(policy);
    for (const direction of ['egress', 'ingress'] as const)
      for (const { name, action } of policy[direction]) {
        const record = known.get(ruleKey(key, name));
        if (record && record.lastUs !== null) continue;
        const createdUs = Math.max(record?.createdUs ?? 0, standing.get(key)?.createdUs ?? 0);
        if (isShort || createdUs > unusedSinceUs) young++;
        else rules.push({ policy: key, rule: name, direction, action });
      }
  }
  return { rules, young, firstUs: isShort && young > 0 ? (unusedFirstUs ?? untilUs) : null };
}

/** Different ones: what policies select by, a thousand replicas share but for their names. */
function distinct(containers: readonly Lived[], withNames: boolean) {
  const found = new Map(
    containers.map((it) => [[it.namespace, withNames ? it.pod : '', it.container, it.image, it.labels].join('\0'), it]),
  );
  return [...found.values()].map(({ container, labels, ...it }) => ({
    ...it,
    name: container,
    labels: JSON.parse(labels) as Record<string, string>,
  }));
}

export function emptyPolicies(
  policies: readonly Policy[],
  standing: ReadonlyMap<string, StandingDocument>,
  containers: readonly Lived[],
): EmptyPolicy[] {
  const all = distinct(
    containers,
    policies.some(({ subject }) => subject.podNames.length > 0),
  );
  return policies
    .filter((policy) => !all.some((it) => selects(policy, it)))
    .map((policy) => {
      const key = policyKey(policy);
      return { policy: key, updatedUs: standing.get(key)?.updatedUs ?? 0 };
    });
}
