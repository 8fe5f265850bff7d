// SPDX-License-Identifier: Apache-2.0
//
// What is known of a time, as comments at the head of what was learned from it.
import { timeText } from '../flows/record.js';
import type { Coverage } from './coverage.js';

/** Holes that are named one by one, the longest first. */
const MOST_HOLES = 5;

const minute = (us: number): string => timeText(us).replace(/:\d\d(\.\d+)?Z$/, 'Z');

export function span(firstUs: number, lastUs: number): string {
  const [first, last] = [minute(firstUs), minute(lastUs)];
  return first === last ? `at ${first}` : `${first} to ${last}`;
}

export const some = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

/** Without an end: each line is a sentence. done: what was done with it. */
export function coverageLines(coverage: Coverage, done = 'learned'): string[] {
  const { sinceUs, untilUs, firstUs, lastUs, coveredUs, holes, lost, gaps, silent, wrongClock } = coverage;
  const lines = [`${done[0]?.toUpperCase()}${done.slice(1)} from ${span(sinceUs, untilUs)}.`];
  if (firstUs === null || lastUs === null) lines.push('Nothing is on record for that time.');
  else {
    const part = Math.floor((100 * Math.min(coveredUs, untilUs - sinceUs)) / Math.max(1, untilUs - sinceUs));
    lines.push(`On record is ${span(firstUs, lastUs)}: ${part} % of it.`);
  }
  if (lost > 0)
    lines.push(
      `${some(lost, 'event')} in ${some(gaps, 'gap')} ${lost === 1 ? 'was' : 'were'} lost: what they were is not ${done} ('cellwall losses').`,
    );
  const longest = [...holes].sort((a, b) => b.toUs - b.fromUs - (a.toUs - a.fromUs));
  for (const { fromUs, toUs } of longest.slice(0, MOST_HOLES)) lines.push(`Some are missing ${span(fromUs, toUs)}.`);
  if (longest.length > MOST_HOLES) lines.push(`And in ${some(longest.length - MOST_HOLES, 'shorter hole')}.`);
  for (const it of silent)
    lines.push(`${it.node} has not been heard of since ${minute(it.lastUs)}: what it saw after that is missing.`);
  if (wrongClock > 0)
    lines.push(
      `${some(wrongClock, 'flow')} ${wrongClock === 1 ? 'is dated far from when it' : 'are dated far from when they'} arrived: a node's clock has jumped. What is dated so may be missing here.`,
    );
  return lines;
}
