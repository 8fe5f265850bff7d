// SPDX-License-Identifier: Apache-2.0
//
// What `cellwall login` keeps: one token for each server, in a file that nobody else can read.
import { closeSync, fchmodSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { EXIT } from '../errors.js';
import { CommandError } from './client.js';

export interface Credential {
  readonly token: string;
  /** Authority of the server's certificate, in PEM form. */
  readonly ca?: string;
}

type Kept = Record<string, Credential>;

export function credentialsFile(): string {
  const folder = process.env.XDG_CONFIG_HOME || join(homedir(), '.config');
  return join(folder, 'cellwall', 'credentials.json');
}

function originOf(server: string): string {
  try {
    return new URL(server).origin;
  } catch {
    return server;
  }
}

function readAll(): Kept {
  const file = credentialsFile();
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new CommandError(`${file}: ${(error as Error).message}`, EXIT.failure);
  }
  try {
    return JSON.parse(text) as Kept;
  } catch {
    throw new CommandError(`${file} is damaged: delete it, and log in again`, EXIT.failure);
  }
}

function writeAll(kept: Kept): void {
  const file = credentialsFile();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}`;
  const handle = openSync(fresh, 'w', 0o600);
  try {
    fchmodSync(handle, 0o600);
    writeSync(handle, `${JSON.stringify(kept, null, 2)}\n`);
  } finally {
    closeSync(handle);
  }
  renameSync(fresh, file);
}

export function credentialOf(server: string): Credential | undefined {
  return readAll()[originOf(server)];
}

export function keepCredential(server: string, credential: Credential): void {
  writeAll({ ...readAll(), [originOf(server)]: credential });
}

export function dropCredential(server: string): void {
  const { [originOf(server)]: _, ...rest } = readAll();
  writeAll(rest);
}
