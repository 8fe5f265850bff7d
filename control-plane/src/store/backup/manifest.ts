// SPDX-License-Identifier: Apache-2.0
//
// What a backup holds. One folder for each backup, named by its time; a folder whose name ends in ".partial" is none yet.
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CellwallError } from '../../errors.js';

export const MANIFEST = 'manifest.json';
export const PARTIAL = '.partial';
/** Of the manifest itself. */
export const FORMAT = 1;
const CHUNK = 1 << 20;

/** How the source looked when it was copied: while this is the same, so is its content. */
const sourceSchema = z.object({
  inode: z.string(),
  bytes: z.number(),
  modifiedNs: z.string(),
  walBytes: z.number(),
  walModifiedNs: z.string(),
});
const fileSchema = z.object({
  name: z
    .string()
    .regex(/^((state|flows-\d{4}-\d{2}-\d{2}|rollups-\d{4}-\d{2})\.db|ca\/(authority|previous|next|server)\.pem)$/),
  bytes: z.number().int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Steps of store/migrations.ts that a database has seen. */
  schema: z.number().int().min(1).optional(),
  source: sourceSchema,
});
const manifestSchema = z.object({
  format: z.literal(FORMAT),
  cellwall: z.string(),
  createdAt: z.string(),
  files: z.array(fileSchema).min(1),
});

export type Source = z.infer<typeof sourceSchema>;
export type BackupFile = z.infer<typeof fileSchema>;
export type Manifest = z.infer<typeof manifestSchema>;

export function refuse(message: string): never {
  throw new CellwallError('invalid_backup', message);
}

export function readManifest(folder: string): Manifest {
  const path = join(folder, MANIFEST);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return refuse(`${path} cannot be read (${(error as Error).message}): this is no backup, or it is damaged`);
  }
  const { format } = content as { format?: unknown };
  if (typeof format === 'number' && format > FORMAT)
    refuse(`${path} has format ${format}, this version knows ${FORMAT}: restore with a newer version of Cellwall`);
  const manifest = manifestSchema.safeParse(content);
  if (!manifest.success)
    return refuse(`${path} is damaged: ${manifest.error.issues.map((it) => `${it.path.join('.')}: ${it.message}`)[0]}`);
  return manifest.data;
}

/** Oldest first. */
export function listBackups(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((it) => it.isDirectory() && /^\d{8}T\d{6}\.\d{3}Z$/.test(it.name))
    .map((it) => it.name)
    .sort();
}

export async function digestOf(path: string, pace?: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK })) {
    hash.update(chunk as Buffer);
    pace?.((chunk as Buffer).length);
  }
  return hash.digest('hex');
}

export function sourceOf(path: string): Source {
  const file = statSync(path, { bigint: true });
  const wal = statSync(`${path}-wal`, { bigint: true, throwIfNoEntry: false });
  return {
    inode: String(file.ino),
    bytes: Number(file.size),
    modifiedNs: String(file.mtimeNs),
    walBytes: Number(wal?.size ?? 0n),
    // An empty one comes and goes with those who read.
    walModifiedNs: String(wal && wal.size > 0n ? wal.mtimeNs : 0n),
  };
}
