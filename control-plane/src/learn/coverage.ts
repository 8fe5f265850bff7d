// SPDX-License-Identifier: Apache-2.0
//
// How much of a time there is data for. What is missing cannot be learned from, so it has to be said.

/** A part of the time of which flows were lost. */
export interface Hole {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Flow records that were made and are not stored. */
export interface Lost {
  readonly count: number;
  /** When they were made; null: not known, or only for a time in which most came through. */
  readonly hole: Hole | null;
}

export interface CoverageInput {
  readonly sinceUs: number;
  readonly untilUs: number;
  /** First and last flow on record in that time, of anybody; null: there is none. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
  readonly lost: readonly Lost[];
  /** Nodes of the containers in question that have not been heard of lately, and since when. */
  readonly silent: readonly { readonly node: string; readonly lastUs: number }[];
  /** Flows that are dated far from when they arrived. */
  readonly wrongClock: number;
}

/** How much of the time that was asked for is on record. */
export interface Coverage {
  readonly sinceUs: number;
  readonly untilUs: number;
  readonly firstUs: number | null;
  readonly lastUs: number | null;
  /** From the first flow to the last, without the holes. */
  readonly coveredUs: number;
  /** Sorted; none touches another. */
  readonly holes: readonly Hole[];
  /** Flow records, in how many gaps. */
  readonly lost: number;
  readonly gaps: number;
  readonly silent: CoverageInput['silent'];
  readonly wrongClock: number;
}

function joined(holes: readonly Hole[]): Hole[] {
  const all: Hole[] = [];
  for (const hole of [...holes].sort((a, b) => a.fromUs - b.fromUs)) {
    const last = all.at(-1);
    if (last && hole.fromUs <= last.toUs)
      all[all.length - 1] = { fromUs: last.fromUs, toUs: Math.max(last.toUs, hole.toUs) };
    else all.push(hole);
  }
  return all;
}

export function coverageOf(input: CoverageInput): Coverage {
  const { sinceUs, untilUs, firstUs, lastUs, lost, silent, wrongClock } = input;
  const base = { sinceUs, untilUs, silent, wrongClock, gaps: lost.length };
  const count = lost.reduce((sum, it) => sum + it.count, 0);
  if (firstUs === null || lastUs === null)
    return { ...base, firstUs: null, lastUs: null, coveredUs: 0, holes: [], lost: count };
  const holes = joined(
    lost.flatMap(({ hole }) => {
      if (!hole) return [];
      const [fromUs, toUs] = [Math.max(hole.fromUs, firstUs), Math.min(hole.toUs, lastUs)];
      return fromUs < toUs ? [{ fromUs, toUs }] : [];
    }),
  );
  const missing = holes.reduce((sum, it) => sum + it.toUs - it.fromUs, 0);
  return { ...base, firstUs, lastUs, coveredUs: Math.max(0, lastUs - firstUs - missing), holes, lost: count };
}
