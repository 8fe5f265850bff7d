// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FolderLock } from '../lock.js';
import { type BackupOptions, type BackupResult, backup, type Progress } from './backup.js';
import { refuse } from './manifest.js';

/** Of a folder whose server is off, and is kept off meanwhile. */
export async function backupOffline(options: BackupOptions, progress: Progress): Promise<BackupResult> {
  if (!existsSync(join(options.folder, 'state.db')))
    refuse(`--data ${options.folder} is no data folder: it has no state.db`);
  using _lock = new FolderLock(options.folder);
  return await backup(options, (take) => take(), progress);
}
