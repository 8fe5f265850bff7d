// SPDX-License-Identifier: Apache-2.0
//
// What is looked at after a crash. SQLite repairs itself; this is for disks that lied about what they had written.
import { statSync } from 'node:fs';
import Sqlite, { type Database } from 'better-sqlite3';
import { isCorrupt } from './open.js';

/** Files up to this size are checked whole before the server starts; larger ones then at their newest end, and whole behind it. */
export const MOST_BYTES_AT_START = 64 << 20;
/** Of all files together that are checked before the server starts. */
export const MOST_BYTES_TOGETHER = 128 << 20;
const NEWEST_ROWS = 100_000;

export interface Checked {
  /** Name within the data folder. */
  readonly file: string;
  /** newest: the newest end is whole, the rest is looked at later. */
  readonly result: 'ok' | 'newest' | 'damaged';
  /** What is wrong; '' when nothing is. */
  readonly problem: string;
  readonly ms: number;
}

function quickCheck(database: Database, table?: string): string {
  const answer = database.pragma(`quick_check(${table ?? 1})`, { simple: true });
  return answer === 'ok' ? '' : String(answer).replaceAll(/\s+/g, ' ');
}

/** Small tables, and the rows that came last: what a crash can have met. */
function checkNewest(database: Database): string {
  for (const table of ['progress', 'spans', 'losses', 'segments']) {
    const problem = quickCheck(database, table);
    if (problem !== '') return problem;
  }
  const highest = (database.prepare('SELECT max(id) FROM flows').pluck().get() as number | null) ?? 0;
  const found = database
    .prepare('SELECT count(*) + sum(end_us = 0) FROM flows WHERE id > ?')
    .pluck()
    .get(highest - NEWEST_ROWS) as number | null;
  return (found ?? 0) === Math.min(highest, NEWEST_ROWS) ? '' : 'rows are missing among the newest';
}

function check(path: string, file: string, how: 'whole' | 'newest'): Checked {
  const began = performance.now();
  const result = (problem: string): Checked => ({
    file,
    result: problem !== '' ? 'damaged' : how === 'whole' ? 'ok' : 'newest',
    problem,
    ms: Math.round(performance.now() - began),
  });
  let database: Database | undefined;
  try {
    // Not read-only: what a crash has left half done is undone first.
    database = new Sqlite(path, { fileMustExist: true });
    return result(how === 'whole' ? quickCheck(database) : checkNewest(database));
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return result((error as Error).message);
  } finally {
    database?.close();
  }
}

export const checkWhole = (path: string, file: string): Checked => check(path, file, 'whole');

/** Of a day: as much as there is time for. `left`: bytes that may still be read. */
export function checkDay(path: string, file: string, left: number): Checked {
  return check(path, file, statSync(path).size <= Math.min(left, MOST_BYTES_AT_START) ? 'whole' : 'newest');
}
