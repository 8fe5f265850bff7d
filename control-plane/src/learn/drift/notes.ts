// SPDX-License-Identifier: Apache-2.0
//
// What there is to know of an answer about drift, a sentence each.
import { coverageLines, some, span } from '../coverage_text.js';
import type { Drift } from './model.js';

const NOUNS = {
  unused: 'unused rule',
  empty: 'policy without containers',
  releases: 'new connection',
  peers: 'changed peer',
  patches: 'patch',
} as const;
const PLURALS: Readonly<Record<string, string>> = { empty: 'policies without containers', patches: 'patches' };

export function driftNotes(found: Omit<Drift, 'notes'>): string[] {
  const { coverage, young, unusedSinceUs, unusedFirstUs, unasked, unnamed, more } = found;
  const lines = coverageLines(coverage, 'compared');
  const since = span(unusedSinceUs, unusedSinceUs).replace('at ', '');
  if (unusedFirstUs !== null)
    lines.push(
      `No rule is called unused: what is on record of the time since ${since} begins ${span(unusedFirstUs, unusedFirstUs)}. ${some(young, 'rule')} decided nothing in it: give a shorter --unused.`,
    );
  else if (young > 0)
    lines.push(`${some(young, 'rule')} decided nothing, and came after ${since}: too young to be called unused.`);
  if (unnamed.containers > 0 || unnamed.flows > 0)
    lines.push(
      `${some(unnamed.containers, 'container')} without a name, ${some(unnamed.flows, 'flow')}: no policy selects them, and nothing is said of them.`,
    );
  if (unasked > 0) lines.push(`${some(unasked, 'connection')} were not judged: take a shorter time, or a namespace.`);
  const left = (Object.keys(NOUNS) as (keyof typeof NOUNS)[]).filter((it) => more[it] > 0);
  if (left.length > 0)
    lines.push(`Left out for their number: ${left.map((it) => some(more[it], NOUNS[it], PLURALS[it])).join(', ')}.`);
  return lines;
}
