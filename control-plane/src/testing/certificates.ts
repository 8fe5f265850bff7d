// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from './authority.js';
import { temporaryFolder } from './folder.js';

export const TOKEN = 'a-token-of-some-length';

/** A file with TOKEN, for --http-token-file. */
export function tokenFile(): string {
  const path = join(temporaryFolder(), 'token');
  writeFileSync(path, TOKEN);
  return path;
}

/** Paths of an authority's certificate, of what it signed for a server and an agent, and of a file with TOKEN. */
export function certificates(): (name: string) => string {
  const folder = temporaryFolder();
  const authority = new Authority(folder);
  for (const name of ['server', 'agent']) authority.issue(name, ['IP:127.0.0.1']);
  writeFileSync(join(folder, 'token'), TOKEN);
  return (name) => join(folder, name);
}
