// SPDX-License-Identifier: Apache-2.0
import { existsSync, renameSync } from 'node:fs';
import Sqlite, { type Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';
import { migrate, refuseNewer, schemaOf } from './migrations.js';

const BUSY_TIMEOUT_MS = 5000;
const PAGE_CACHE_KIB = 16 * 1024;

export function isCorrupt(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB');
}

export function isOutOfSpace(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && (code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR') || code === 'ENOSPC');
}

/** An error of the disk or of the folder, which can pass; anything else is an error of ours. */
export function isStoreError(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === 'string' && !(error instanceof CellwallError);
}

/** For the one writer. What is committed is on disk: synchronous=FULL. */
export function openForWriting(file: string, migrations: readonly string[]): Database {
  const database = new Sqlite(file, { timeout: BUSY_TIMEOUT_MS });
  try {
    refuseNewer(schemaOf(database), file, migrations);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma(`cache_size = -${PAGE_CACHE_KIB}`);
    // The schema is read here, so that a damaged file shows itself now.
    migrate(database, migrations);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Moves a damaged file aside; nothing is deleted. Returns its new name. */
export function setAside(file: string, nowUs: number): string {
  const aside = `${file}.corrupt-${new Date(nowUs / 1000).toISOString().replaceAll(':', '')}`;
  for (const suffix of ['', '-wal', '-shm']) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  return aside;
}
