// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(folder: string): string {
  return existsSync(join(folder, 'proto/cellwall')) ? folder : findRoot(dirname(folder));
}

/** The project's folder. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));
