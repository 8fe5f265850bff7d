// SPDX-License-Identifier: Apache-2.0
//
// Copies a store into a new folder under `to`, page by page, while it is written to.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { CellwallError } from '../../errors.js';
import { VERSION } from '../../version.js';
import { schemaOf } from '../migrations.js';
import { syncPath } from '../sync.js';
import {
  type BackupFile,
  digestOf,
  FORMAT,
  listBackups,
  MANIFEST,
  type Manifest,
  PARTIAL,
  readManifest,
  refuse,
  type Source,
} from './manifest.js';
import { type SnapshotFile, takeSnapshot } from './snapshot.js';

const PAGES_PER_STEP = 256;
/** Content that was written so shortly before it was looked at could change again without a change of its time. */
const SETTLED_NS = 2_000_000_000n;

export interface BackupOptions {
  /** Data folder. */
  readonly folder: string;
  /** Absolute; new, empty, or with backups of before. */
  readonly to: string;
  readonly mibPerSecond: number;
  /** Backups that are kept, this one included. */
  readonly keep: number;
}

export interface BackupResult {
  readonly folder: string;
  readonly bytes: number;
  /** Of which were copied; the rest is shared with the backup before. */
  readonly copiedBytes: number;
  readonly files: number;
  readonly seconds: number;
}

/** Called with the snapshot to be taken, while nothing is written. */
export type WhileHeld = <T>(take: () => T) => T;
export type Progress = (done: number, total: number) => void;

/** Sleeps so that no more is read than was said. */
class Pace {
  readonly #bytesPerMs: number;
  readonly #began = performance.now();
  readonly #progress: Progress;
  readonly total: number;
  #bytes = 0;

  constructor(mibPerSecond: number, total: number, progress: Progress) {
    this.#bytesPerMs = (mibPerSecond * 2 ** 20) / 1000;
    this.total = total;
    this.#progress = progress;
  }

  readonly step = (bytes: number): void => {
    this.#bytes += bytes;
    this.#progress(Math.min(this.#bytes, this.total), this.total);
    const ahead = this.#bytes / this.#bytesPerMs - (performance.now() - this.#began);
    if (ahead >= 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ahead);
  };
}

function prepareFolder(to: string): void {
  if (!isAbsolute(to)) refuse(`--to ${to}: give the whole path; it is one of the machine that the server runs on`);
  try {
    mkdirSync(to, { recursive: true, mode: 0o700 });
  } catch (error) {
    refuse(`--to ${to} cannot be made: ${(error as Error).message}`);
  }
  const strange = readdirSync(to).filter(
    (name) => !/^\d{8}T\d{6}\.\d{3}Z(\.partial)?$/.test(name) && name !== 'lost+found',
  );
  if (strange[0]) refuse(`--to ${to} holds ${strange[0]}, which is no backup: give a folder of its own`);
  for (const name of readdirSync(to)) if (name.endsWith(PARTIAL)) rmSync(join(to, name), { recursive: true });
}

/** The newest backup there: what it has need not be copied again. */
function previousOf(to: string): { folder: string; files: Map<string, BackupFile> } | undefined {
  const name = listBackups(to).at(-1);
  if (name === undefined) return undefined;
  const folder = join(to, name);
  try {
    return { folder, files: new Map(readManifest(folder).files.map((file) => [file.name, file])) };
  } catch (error) {
    if (error instanceof CellwallError) return undefined;
    throw error;
  }
}

const sameSource = (a: Source, b: Source): boolean =>
  a.inode === b.inode &&
  a.bytes === b.bytes &&
  a.modifiedNs === b.modifiedNs &&
  a.walBytes === b.walBytes &&
  a.walModifiedNs === b.walModifiedNs;

function isSettled(source: Source, createdAt: number): boolean {
  const newest = BigInt(source.modifiedNs) > BigInt(source.walModifiedNs) ? source.modifiedNs : source.walModifiedNs;
  return BigInt(createdAt) * 1_000_000n - BigInt(newest) > SETTLED_NS;
}

async function copy(file: SnapshotFile, path: string, pace: Pace): Promise<BackupFile> {
  const { database } = file;
  if (!database) throw new Error(`${file.name} was not opened`);
  const pageBytes = database.pragma('page_size', { simple: true }) as number;
  const schema = schemaOf(database);
  let left: number | undefined;
  await database.backup(path, {
    progress: ({ totalPages, remainingPages }) => {
      pace.step(((left ?? totalPages) - remainingPages) * pageBytes);
      left = remainingPages;
      return PAGES_PER_STEP;
    },
  });
  database.close();
  chmodSync(path, 0o600);
  return { name: file.name, bytes: statSync(path).size, sha256: await digestOf(path), schema, source: file.source };
}

/** Small, and read when the snapshot was taken. */
function write(file: SnapshotFile, content: Buffer, path: string): BackupFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, content, { mode: 0o600 });
  syncPath(path);
  syncPath(dirname(path));
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { name: file.name, bytes: content.length, sha256, source: file.source };
}

function share(from: string, path: string): void {
  try {
    linkSync(from, path);
  } catch {
    // Not every file system has links.
    copyFileSync(from, path);
    syncPath(path);
  }
}

function writeManifest(folder: string, manifest: Manifest): void {
  const file = openSync(join(folder, MANIFEST), 'w', 0o600);
  writeSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
  fsyncSync(file);
  closeSync(file);
}

/** Removes what is more than is to be kept; what is shared stays with those that have it. */
function prune(to: string, keep: number): void {
  for (const name of listBackups(to).slice(0, -keep)) rmSync(join(to, name), { recursive: true });
}

export async function backup(options: BackupOptions, whileHeld: WhileHeld, progress: Progress): Promise<BackupResult> {
  const { folder, to, mibPerSecond, keep } = options;
  const began = performance.now();
  prepareFolder(to);
  const previous = previousOf(to);
  const createdAt = Date.now();
  const known = (name: string, source: Source): BackupFile | undefined => {
    const file = previous?.files.get(name);
    const there = file && existsSync(join(previous?.folder ?? '', name));
    return there && sameSource(file.source, source) && isSettled(source, createdAt) ? file : undefined;
  };
  const snapshot = whileHeld(() => takeSnapshot(folder, (name, source) => known(name, source) !== undefined));
  const name = new Date(createdAt).toISOString().replace(/[-:]/g, '');
  const partial = join(to, name + PARTIAL);
  try {
    mkdirSync(partial, { mode: 0o700 });
    const toCopy = snapshot.filter(({ database }) => database !== undefined);
    const pace = new Pace(
      mibPerSecond,
      toCopy.reduce((sum, { source }) => sum + source.bytes, 0),
      progress,
    );
    const files: BackupFile[] = [];
    let copiedBytes = 0;
    for (const file of snapshot) {
      const path = join(partial, file.name);
      const before = file.database || file.content ? undefined : known(file.name, file.source);
      if (before) share(join(previous?.folder ?? '', file.name), path);
      const one = before ?? (file.content ? write(file, file.content, path) : await copy(file, path, pace));
      if (!before) copiedBytes += one.bytes;
      files.push(one);
    }
    writeManifest(partial, { format: FORMAT, cellwall: VERSION, createdAt: new Date(createdAt).toISOString(), files });
    syncPath(partial);
    renameSync(partial, join(to, name));
    syncPath(to);
    prune(to, keep);
    return {
      folder: join(to, name),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      copiedBytes,
      files: files.length,
      seconds: (performance.now() - began) / 1000,
    };
  } catch (error) {
    for (const { database } of snapshot) database?.close();
    rmSync(partial, { recursive: true, force: true });
    if (error instanceof CellwallError) throw error;
    throw new CellwallError('store_unavailable', `the backup to ${to} failed: ${(error as Error).message}`);
  }
}
