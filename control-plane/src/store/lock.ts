// SPDX-License-Identifier: Apache-2.0
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { CellwallError } from '../errors.js';

/** One server per data folder. The lock is the kernel's and goes with the process; the pid beside it is for the message. */
export class FolderLock {
  readonly #database: Sqlite.Database;

  constructor(folder: string) {
    const pidFile = join(folder, 'server.pid');
    try {
      this.#database = new Sqlite(join(folder, 'lock.db'), { timeout: 0 });
    } catch (error) {
      throw new CellwallError('invalid_option', `--data ${folder} cannot be written: ${(error as Error).message}`);
    }
    try {
      this.#database.exec('BEGIN EXCLUSIVE');
    } catch {
      this.#database.close();
      throw new CellwallError(
        'folder_in_use',
        `the data folder ${folder} is in use by another server${holder(pidFile)}; stop it, or name another folder with --data`,
      );
    }
    try {
      writeFileSync(pidFile, `${process.pid}\n`);
    } catch {
      // A full disk must not keep the server from serving policy.
      rmSync(pidFile, { force: true });
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function holder(pidFile: string): string {
  try {
    return ` (process ${readFileSync(pidFile, 'utf8').trim()})`;
  } catch {
    return '';
  }
}
