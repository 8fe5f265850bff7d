// SPDX-License-Identifier: Apache-2.0
//
// Whether the last server on this folder stopped in order. The mark is there between two runs only: taking a file away works on a
// full disk too, and what is in doubt counts as a crash, which costs a check.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncPath } from './sync.js';

export type LastStop = 'none' | 'clean' | 'crash';

const MARK = 'clean-stop';

/** At start. none: there is no data yet. */
export function takeCleanStop(folder: string): LastStop {
  const mark = join(folder, MARK);
  if (existsSync(mark)) {
    rmSync(mark);
    // Else a power cut could bring it back.
    syncPath(folder);
    return 'clean';
  }
  return existsSync(join(folder, 'state.db')) ? 'crash' : 'none';
}

/** At the end, when all is closed. */
export function markCleanStop(folder: string): void {
  try {
    writeFileSync(join(folder, MARK), '');
  } catch {
    // The next start checks then.
  }
}
