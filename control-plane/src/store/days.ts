// SPDX-License-Identifier: Apache-2.0
//
// Names of day files, and what time goes into which.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const DAY_FILE = /^flows-(\d{4}-\d{2}-\d{2})\.db$/;
export const DAY_US = 86_400e6;
/** Wrong clocks do not make files: what is older, or from the future, goes into the file of today. */
const OLDEST_DAYS = 7;

export function dayOf(us: number): string {
  return new Date(us / 1000).toISOString().slice(0, 10);
}

export function dayFor(us: number, nowUs: number): string {
  return dayOf(us > nowUs || us < nowUs - OLDEST_DAYS * DAY_US ? nowUs : us);
}

export function dayPath(folder: string, day: string): string {
  return join(folder, `flows-${day}.db`);
}

export function listDays(folder: string): string[] {
  return readdirSync(folder)
    .flatMap((name) => DAY_FILE.exec(name)?.[1] ?? [])
    .sort();
}

/** The file and what SQLite keeps beside it. */
export const FILE_SUFFIXES = ['', '-wal', '-shm'] as const;

export function bytesOf(file: string): number {
  return FILE_SUFFIXES.reduce(
    (sum, suffix) => sum + (statSync(file + suffix, { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

export function removeDay(folder: string, day: string): void {
  for (const suffix of FILE_SUFFIXES) rmSync(dayPath(folder, day) + suffix, { force: true });
}
