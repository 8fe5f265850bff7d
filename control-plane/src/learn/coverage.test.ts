// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { type CoverageInput, coverageOf } from './coverage.js';
import { coverageLines } from './coverage_text.js';

const START = Date.UTC(2026, 0, 5, 8) * 1000;
const HOUR = 3600e6;
const INPUT: CoverageInput = {
  sinceUs: START,
  untilUs: START + 10 * HOUR,
  firstUs: START,
  lastUs: START + 10 * HOUR,
  lost: [],
  silent: [],
  wrongClock: 0,
};
const hole = (from: number, to: number, count = 5) => ({
  count,
  hole: { fromUs: START + from * HOUR, toUs: START + to * HOUR },
});
const lines = (more: Partial<CoverageInput>) => coverageLines(coverageOf({ ...INPUT, ...more }));

it('counts each hour that is missing once, and none that nothing is on record of', () => {
  const lost = [hole(4, 6), hole(-3, 1), hole(5, 7), hole(9, 20)];
  const coverage = coverageOf({ ...INPUT, lost });
  expect(coverage.holes.map((it) => [it.fromUs - START, it.toUs - START].map((us) => us / HOUR))).toEqual([
    [0, 1],
    [4, 7],
    [9, 10],
  ]);
  expect(coverage).toMatchObject({ coveredUs: 5 * HOUR, lost: 20, gaps: 4 });
});

it('says what is missing, the longest hole first', () => {
  expect(lines({ lost: [hole(1, 2), hole(4, 6), { count: 1, hole: null }], lastUs: START + 9 * HOUR })).toEqual([
    'Learned from 2026-01-05T08:00Z to 2026-01-05T18:00Z.',
    'On record is 2026-01-05T08:00Z to 2026-01-05T17:00Z: 60 % of it.',
    "11 events in 3 gaps were lost: what they were is not learned ('cellwall losses').",
    'Some are missing 2026-01-05T12:00Z to 2026-01-05T14:00Z.',
    'Some are missing 2026-01-05T09:00Z to 2026-01-05T10:00Z.',
  ]);
});

it('names nodes that are silent and clocks that have jumped', () => {
  expect(lines({ silent: [{ node: 'n2', lastUs: START }], wrongClock: 1 }).slice(2)).toEqual([
    'n2 has not been heard of since 2026-01-05T08:00Z: what it saw after that is missing.',
    "1 flow is dated far from when it arrived: a node's clock has jumped. What is dated so may be missing here.",
  ]);
});

it('says that there is nothing', () => {
  expect(lines({ firstUs: null, lastUs: null })[1]).toBe('Nothing is on record for that time.');
});
