// SPDX-License-Identifier: Apache-2.0
//
// state.db names what flows refer to by number. What no day, no sum and no list refers to any more goes.
import type { Database } from 'better-sqlite3';
import { DAY_US } from './days.js';

/** Sums are kept by whole months, of which the last may have begun this long before its days end. */
const TWO_MONTHS_DAYS = 62;
/** Clocks of nodes may be ahead. */
const SPARE_DAYS = 2;
/** Of each kind, at a time: flows wait meanwhile. */
const MOST_ROWS = 5000;

/** From when on something may be referred to. */
export function rememberedFrom(nowUs: number, kept: { retentionDays: number; rollUpDays: number }): number {
  const days = Math.max(kept.retentionDays, kept.rollUpDays + TWO_MONTHS_DAYS) + SPARE_DAYS;
  return nowUs - days * DAY_US;
}

/** True: there is more. */
export function forgetBefore(database: Database, us: number, most = MOST_ROWS): boolean {
  const remove = (table: string, which: string, value: number) =>
    database
      .prepare(`DELETE FROM ${table} WHERE id IN (SELECT id FROM ${table} WHERE ${which} LIMIT ?)`)
      .run(value, most).changes === most;
  const listeners = remove('listeners', 'gone_us < ?', us);
  const containers = remove(
    'containers',
    `gone_us < ? AND id NOT IN (SELECT container FROM open_flows) AND id NOT IN (SELECT container FROM listeners)`,
    us,
  );
  const strings = remove(
    'strings',
    `day < ? AND id NOT IN (SELECT process_name FROM open_flows UNION SELECT name FROM open_flows
       UNION SELECT server_name FROM open_flows UNION SELECT process_name FROM listeners)`,
    Math.floor(us / DAY_US),
  );
  return listeners || containers || strings;
}
