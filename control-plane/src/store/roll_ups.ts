// SPDX-License-Identifier: Apache-2.0
//
// Who talked to whom on days whose rows are gone: their sums by hour, one file for each month, so that these go by an unlink too.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import { DAY_US, dayOf, dayPath, FILE_SUFFIXES } from './days.js';
import { EDGE_GROUP, EDGE_KEYS, EDGE_SUMS, edgeFlows, MERGE_EDGES } from './edge_columns.js';
import { ROLL_UP_MIGRATIONS } from './migrations.js';
import { openForWriting } from './open.js';

const FILE = /^rollups-(\d{4}-\d{2})\.db$/;
const LONGEST_MONTH_US = 31 * DAY_US;

export function rollUpPath(folder: string, month: string): string {
  return join(folder, `rollups-${month}.db`);
}

export function listMonths(folder: string): string[] {
  return readdirSync(folder)
    .flatMap((name) => FILE.exec(name)?.[1] ?? [])
    .sort();
}

const monthOf = (day: string): string => day.slice(0, 7);

/** What a day file held last; an empty one has nothing to keep. */
function lastOf(month: Database): { last_id: number; last_us: number } | undefined {
  return month.prepare('SELECT id AS last_id, end_us AS last_us FROM day.flows ORDER BY id DESC LIMIT 1').get() as
    | { last_id: number; last_us: number }
    | undefined;
}

function withDay<T>(folder: string, day: string, use: (month: Database) => T): T {
  const month = openForWriting(rollUpPath(folder, monthOf(day)), ROLL_UP_MIGRATIONS);
  try {
    month.prepare('ATTACH ? AS day').run(dayPath(folder, day));
    return use(month);
  } finally {
    month.close();
  }
}

function isKept(month: Database, day: string, last: { last_id: number; last_us: number }): boolean {
  const found = month.prepare('SELECT 1 FROM days WHERE day = ? AND last_id = ? AND last_us = ?');
  return found.get(day, last.last_id, last.last_us) !== undefined;
}

/** Takes over the sums of a day that is about to go, of rows that are not digested too; a second time does nothing. */
export function keepRollUp(folder: string, day: string): void {
  withDay(folder, day, (month) => {
    const last = lastOf(month);
    if (!last || isKept(month, day, last)) return;
    month.transaction(() => {
      month.exec(`INSERT INTO edges SELECT * FROM day.edges WHERE true ${MERGE_EDGES}`);
      month.exec(
        `INSERT INTO edges SELECT ${EDGE_KEYS}, ${EDGE_SUMS} FROM ${edgeFlows('day')}
         WHERE f.id > (SELECT coalesce(max(last_id), 0) FROM day.segments) ${EDGE_GROUP} ${MERGE_EDGES}`,
      );
      month.prepare('INSERT INTO days VALUES (?, ?, ?)').run(day, last.last_id, last.last_us);
    })();
  });
}

/** Days of a month whose sums were kept and whose file is still there: the server ended between the two. */
export function daysKeptTwice(folder: string, month: string, days: readonly string[]): string[] {
  return days.filter(
    (day) =>
      monthOf(day) === month &&
      withDay(folder, day, (database) => {
        const last = lastOf(database);
        return last !== undefined && isKept(database, day, last);
      }),
  );
}

/** Unlinks months that have ended so many days ago. */
export function retireRollUps(folder: string, days: number, nowUs: number): string[] {
  const oldest = monthOf(dayOf(nowUs - days * DAY_US - LONGEST_MONTH_US));
  const gone = listMonths(folder).filter((month) => month <= oldest);
  for (const month of gone)
    for (const suffix of FILE_SUFFIXES) rmSync(rollUpPath(folder, month) + suffix, { force: true });
  return gone;
}
