// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEachTest } from './after_each.js';

const folders: string[] = [];

/** A new folder, removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cellwall-test-'));
  folders.push(folder);
  return folder;
}

/** Those made since the last test, which are no longer removed after this one. */
export const keepFolders = (): string[] => folders.splice(0);

export function removeFolders(from: string[]): void {
  for (const folder of from.splice(0)) rmSync(folder, { recursive: true, force: true });
}

afterEachTest(() => removeFolders(folders));
