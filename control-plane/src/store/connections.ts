// SPDX-License-Identifier: Apache-2.0
//
// Read-only connections, one for each day file, with the state file attached as `state`.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite, { type Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';
import { type Budget, unlimited } from './budget.js';
import { CallerPorts } from './caller_ports.js';
import { dayPath, listDays } from './days.js';
import { DAY_MIGRATIONS } from './migrations.js';
import { isCorrupt } from './open.js';
import { rollUpPath } from './roll_ups.js';
import { installWorkload } from './workload_functions.js';

const MOST_OPEN_DAYS = 8;

/** Called with a day whose file is damaged, and the inode of that file. */
export type OnDamage = (day: string, inode: number) => void;

interface OpenDay {
  readonly database: Database;
  readonly ports: CallerPorts;
  /** Another file can have come to the same path: a damaged one is set aside. */
  readonly inode: number;
}

export class Connections {
  readonly folder: string;
  readonly stateFile: string;
  readonly #damaged: OnDamage;
  readonly #budget: Budget;
  readonly #days = new Map<string, OpenDay>();
  #state: Database | undefined;

  constructor(folder: string, damaged: OnDamage, budget = unlimited()) {
    this.#budget = budget;
    this.folder = folder;
    this.stateFile = join(folder, 'state.db');
    this.#damaged = damaged;
  }

  /** Oldest first. */
  days(): string[] {
    return listDays(this.folder);
  }

  #open(file: string): Database {
    const database = new Sqlite(file, { readonly: true });
    try {
      database.prepare('ATTACH ? AS state').run(this.stateFile);
      this.#budget.install(database);
      installWorkload(database);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** The state file, as `main` too: joins read the same for open flows and for days. */
  state(): Database {
    this.#state ??= this.#open(this.stateFile);
    return this.#state;
  }

  /** undefined: the writer has not made it, or not brought it up to date yet. */
  #day(day: string, inode: number): OpenDay | undefined {
    const known = this.#days.get(day);
    if (known?.inode === inode) return known;
    known?.database.close();
    this.#days.delete(day);
    const database = this.#open(dayPath(this.folder, day));
    if ((database.pragma('user_version', { simple: true }) as number) < DAY_MIGRATIONS.length) {
      database.close();
      return undefined;
    }
    const open = { database, inode, ports: new CallerPorts(database) };
    this.#days.set(day, open);
    for (const old of [...this.#days.keys()].sort().slice(0, -MOST_OPEN_DAYS)) {
      this.#days.get(old)?.database.close();
      this.#days.delete(old);
    }
    return open;
  }

  /** Asks one day file; undefined: it is gone, or being made. Throws store_unavailable when it is damaged. */
  ask<T>(day: string, read: (database: Database, ports: CallerPorts) => T): T | undefined {
    const inode = statSync(dayPath(this.folder, day), { throwIfNoEntry: false })?.ino;
    if (inode === undefined) return undefined;
    this.#budget.check();
    try {
      const open = this.#day(day, inode);
      return open && read(open.database, open.ports);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.#damaged(day, inode);
      throw new CellwallError('store_unavailable', `the flows of ${day} are damaged: the file is set aside; ask again`);
    }
  }

  /** Asks the roll-ups of a month, which are asked seldom. */
  askMonth<T>(month: string, read: (database: Database) => T): T {
    this.#budget.check();
    const database = new Sqlite(rollUpPath(this.folder, month), { readonly: true });
    try {
      this.#budget.install(database);
      return read(database);
    } finally {
      database.close();
    }
  }

  close(): void {
    for (const { database } of this.#days.values()) database.close();
    this.#state?.close();
  }
}
