// SPDX-License-Identifier: Apache-2.0
//
// Makes a data folder of a backup, after every byte of it was found to be the one that was copied.
import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CellwallError } from '../../errors.js';
import { DAY_MIGRATIONS, ROLL_UP_MIGRATIONS, refuseNewer, STATE_MIGRATIONS } from '../migrations.js';
import { openForWriting } from '../open.js';
import { Policies } from '../policies.js';
import { syncPath } from '../sync.js';
import { digestOf, listBackups, MANIFEST, type Manifest, PARTIAL, readManifest, refuse } from './manifest.js';

/** Generations and rule numbers which were given after the backup are in use at agents: they are not given again. */
const NUMBERS_SKIPPED = 1_000_000;

export interface Restored {
  readonly backup: string;
  readonly createdAt: string;
  readonly files: number;
  readonly bytes: number;
}

/** One backup, or the newest of a folder of them. */
function choose(from: string): string {
  if (!existsSync(from)) refuse(`--from ${from} is not there`);
  if (existsSync(join(from, MANIFEST))) return from;
  const newest = listBackups(from).at(-1);
  return newest === undefined ? refuse(`--from ${from} holds no complete backup`) : join(from, newest);
}

function migrationsOf(name: string): readonly string[] {
  if (name === 'state.db') return STATE_MIGRATIONS;
  return name.startsWith('rollups-') ? ROLL_UP_MIGRATIONS : DAY_MIGRATIONS;
}

async function verify(folder: string, manifest: Manifest): Promise<void> {
  if (!manifest.files.some(({ name }) => name === 'state.db')) refuse(`${folder} has no state.db`);
  for (const { name, bytes, sha256, schema } of manifest.files) {
    const path = join(folder, name);
    if (schema !== undefined) refuseNewer(schema, path, migrationsOf(name));
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) refuse(`${path} is missing: the backup cannot be restored`);
    if (size !== bytes) refuse(`${path} is damaged: it has ${size} bytes, ${bytes} were copied; take another backup`);
    if ((await digestOf(path)) !== sha256) refuse(`${path} is damaged: its content has changed; take another backup`);
  }
}

/** What agents know by number must not come to mean something else. */
function skipNumbers(state: string): void {
  const database = openForWriting(state, STATE_MIGRATIONS);
  database.transaction(() => {
    const policies = new Policies(database);
    policies.setGeneration(policies.generation() + NUMBERS_SKIPPED);
    policies.skipRuleNumbers(NUMBERS_SKIPPED, new Date().toISOString());
  })();
  database.close();
}

function refuseUsed(data: string): void {
  if (existsSync(data) && readdirSync(data).length > 0)
    throw new CellwallError('invalid_option', `--data ${data} is not empty: a backup is restored into a new folder`);
}

/** Checks a backup; with `data`, makes that folder of it. */
export async function restore(from: string, data: string | undefined): Promise<Restored> {
  if (data !== undefined) refuseUsed(data);
  const folder = choose(from);
  const manifest = readManifest(folder);
  await verify(folder, manifest);
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  const restored = { backup: folder, createdAt: manifest.createdAt, files: manifest.files.length, bytes };
  if (data === undefined) return restored;
  const partial = `${data.replace(/\/+$/, '')}${PARTIAL}`;
  rmSync(partial, { recursive: true, force: true });
  try {
    mkdirSync(partial, { recursive: true, mode: 0o700 });
    for (const { name, sha256 } of manifest.files) {
      mkdirSync(dirname(join(partial, name)), { recursive: true, mode: 0o700 });
      copyFileSync(join(folder, name), join(partial, name), constants.COPYFILE_FICLONE);
      syncPath(join(partial, name));
      if ((await digestOf(join(partial, name))) !== sha256) refuse(`${name} was damaged on its way to ${data}`);
    }
    skipNumbers(join(partial, 'state.db'));
    syncPath(partial);
    refuseUsed(data);
    renameSync(partial, data);
    syncPath(dirname(partial));
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (error instanceof CellwallError) throw error;
    throw new CellwallError('store_unavailable', `${data} could not be restored: ${(error as Error).message}`);
  }
  return restored;
}
