// SPDX-License-Identifier: Apache-2.0
//
// The time that a question is about.
import { CellwallError } from '../errors.js';
import { parseTime } from '../flows/filter.js';

export interface Times {
  readonly sinceUs: number;
  readonly untilUs: number;
}

export function timesOf({ since, until }: { since: string; until?: string | undefined }, nowUs: number): Times {
  const untilUs = until === undefined ? nowUs : parseTime(until, nowUs, 'until');
  const sinceUs = parseTime(since, nowUs, 'since');
  if (sinceUs >= untilUs)
    throw new CellwallError('invalid_filter', `since ${since} is not before until ${until ?? 'now'}`);
  return { sinceUs, untilUs };
}
