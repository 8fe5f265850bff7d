// SPDX-License-Identifier: Apache-2.0
//
// A change of policies tried on recorded flows, without a server.
import { type Policy, type Problem, parseDocuments, policyKey } from '../policy/index.js';
import type { Effect } from './effect.js';
import type { Recording } from './recording.js';
import { simulate } from './simulate.js';
import { stableText, worldOf } from './world_record.js';

export type WhatIf =
  | { readonly effect: Effect; readonly problems?: undefined }
  | { readonly effect?: undefined; readonly problems: readonly Problem[] };

/**
 * What applying documents would have done to the flows of a recording: the policies that were in force then, with these created or
 * replaced. Problems: of the documents; nothing was tried then. `source` is their name in problems.
 */
export function whatIf(recording: Recording, documents: string, source: string): WhatIf {
  const { record, edges, sinceUs } = recording.finish();
  const current = worldOf(record);
  if (current.problems.length > 0) return { problems: current.problems };
  const given = parseDocuments(documents, source);
  if (given.problems.length > 0) return { problems: given.problems };
  const texts = new Set(record.policies.map(stableText));
  const isPolicy = new Set(given.policies.map(policyKey));
  const changed = new Set(
    given.sources.filter((it) => isPolicy.has(it.key) && !texts.has(stableText(it.document))).map(({ key }) => key),
  );
  const isChanged = (policy: Policy) => changed.has(policyKey(policy));
  const { world } = current;
  const after = [...world.policies.filter((it) => !isChanged(it)), ...given.policies.filter(isChanged)];
  const change = {
    before: world,
    after: { ...world, policies: after },
    edges,
    sinceUs,
    untilUs: record.untilUs,
  };
  return { effect: simulate(change, given.policies) };
}
