// SPDX-License-Identifier: Apache-2.0
//
// Opens the data folder, and after a crash looks at its files first.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CellwallError } from '../errors.js';
import { type LastStop, takeCleanStop } from './clean_stop.js';
import { dayPath, listDays } from './days.js';
import { type Checked, checkDay, checkWhole, MOST_BYTES_AT_START, MOST_BYTES_TOGETHER } from './integrity.js';
import { Storage, type StorageOptions } from './storage.js';

export interface Start {
  readonly lastStop: LastStop;
  /** Newest day first, behind the state; empty after a clean stop. */
  readonly checked: readonly Checked[];
  /** Names of files that are to be checked whole while the server runs. */
  readonly later: readonly string[];
}

const STATE = 'state.db';

/** Throws when state.db is damaged: policies are not begun anew behind somebody's back. */
function checkState(folder: string): Checked | undefined {
  const path = join(folder, STATE);
  if (!existsSync(path) || statSync(path).size > MOST_BYTES_AT_START) return undefined;
  const checked = checkWhole(path, STATE);
  if (checked.result === 'damaged')
    throw new CellwallError(
      'store_unavailable',
      `${path} is damaged (${checked.problem}): restore a backup, or move it away to begin without policies`,
    );
  return checked;
}

export function openStorage(options: StorageOptions): { storage: Storage; start: Start } {
  const { folder } = options;
  const lastStop = takeCleanStop(folder);
  if (lastStop !== 'crash') return { storage: new Storage(options), start: { lastStop, checked: [], later: [] } };
  const state = checkState(folder);
  const storage = new Storage(options);
  const checked = state ? [state] : [];
  const later = state ? [] : [STATE];
  let left = MOST_BYTES_TOGETHER;
  for (const day of listDays(folder).reverse()) {
    const path = dayPath(folder, day);
    const file = `flows-${day}.db`;
    // What is older than a few days was not being written to.
    if (left <= 0) {
      later.push(file);
      continue;
    }
    const one = checkDay(path, file, left);
    checked.push(one);
    if (one.result === 'damaged') storage.quarantine(day, Date.now() * 1000);
    if (one.result === 'newest') later.push(file);
    left -= one.result === 'ok' ? statSync(path).size : 0;
  }
  return { storage, start: { lastStop, checked, later } };
}
