// SPDX-License-Identifier: Apache-2.0
//
// All files of a store as of one moment. Reading transactions that are begun while nothing is written see the same moment in every
// file, for as long as the copying takes; so no file knows of a name, or of an event, that another one lacks. Files that change
// come first: until theirs is copied, SQLite cannot use their write-ahead log again.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { dayPath, listDays } from '../days.js';
import { DAY_MIGRATIONS, ROLL_UP_MIGRATIONS, refuseNewer, STATE_MIGRATIONS, schemaOf } from '../migrations.js';
import { listMonths, rollUpPath } from '../roll_ups.js';
import { type Source, sourceOf } from './manifest.js';

export interface SnapshotFile {
  readonly name: string;
  readonly source: Source;
  /** undefined: as the backup before has it, or no database. */
  readonly database: Database | undefined;
  /** Of a file that is no database. */
  readonly content: Buffer | undefined;
}

/** The server's own authority: agents trust no other, and a store that is restored without it would be a stranger to them. */
const AUTHORITY = ['authority', 'previous', 'next', 'server'].map((name) => `ca/${name}.pem`);

function pin(path: string, migrations: readonly string[]): Database {
  const database = new Sqlite(path, { readonly: true });
  try {
    refuseNewer(schemaOf(database), path, migrations);
    database.exec('BEGIN');
    // The snapshot is that of the first read.
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Nothing may be written meanwhile. isKnown: the backup before has this content. */
export function takeSnapshot(folder: string, isKnown: (name: string, source: Source) => boolean): SnapshotFile[] {
  const files: SnapshotFile[] = [];
  const add = (path: string, name: string, migrations: readonly string[]) => {
    const source = sourceOf(path);
    const database = isKnown(name, source) ? undefined : pin(path, migrations);
    files.push({ name, source, database, content: undefined });
  };
  try {
    for (const day of listDays(folder).reverse()) add(dayPath(folder, day), `flows-${day}.db`, DAY_MIGRATIONS);
    for (const month of listMonths(folder)) add(rollUpPath(folder, month), `rollups-${month}.db`, ROLL_UP_MIGRATIONS);
    const state = join(folder, 'state.db');
    if (existsSync(state)) add(state, 'state.db', STATE_MIGRATIONS);
    for (const name of AUTHORITY) {
      const path = join(folder, name);
      if (!existsSync(path)) continue;
      files.push({ name, source: sourceOf(path), database: undefined, content: readFileSync(path) });
    }
    return files;
  } catch (error) {
    for (const { database } of files) database?.close();
    throw error;
  }
}
