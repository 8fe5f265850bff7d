// SPDX-License-Identifier: Apache-2.0
//
// <data>/ca: authority.pem (key and certificate of what signs), previous.pem (of what it replaces, while agents still have
// certificates of that), server.pem (key and chain that the server shows). Each file is replaced as a whole.
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CellwallError } from '../errors.js';
import { type Authority, readAuthority } from './certificates.js';

export interface Authorities {
  readonly signer: Authority;
  /** Trusted until the rotation is finished. */
  readonly previous: Authority | undefined;
}

function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

export class AuthorityFolder {
  readonly path: string;

  constructor(dataFolder: string) {
    this.path = join(dataFolder, 'ca');
  }

  #file(name: 'authority' | 'previous' | 'next' | 'server'): string {
    return join(this.path, `${name}.pem`);
  }

  get exists(): boolean {
    return existsSync(this.#file('authority')) || existsSync(this.#file('next'));
  }

  #replace(file: string, content: string): void {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      const fresh = `${file}.new`;
      rmSync(fresh, { force: true });
      const handle = openSync(fresh, 'wx', 0o600);
      try {
        writeSync(handle, content);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
      renameSync(fresh, file);
      syncFolder(this.path);
    } catch (error) {
      throw new CellwallError('store_unavailable', `${file} cannot be written: ${(error as Error).message}`);
    }
  }

  #move(from: string, to: string): void {
    renameSync(from, to);
    syncFolder(this.path);
  }

  /** undefined: there is none yet. */
  async load(): Promise<Authorities | undefined> {
    if (!this.exists) return undefined;
    this.#repair();
    const signer = await this.#read('authority');
    return { signer, previous: existsSync(this.#file('previous')) ? await this.#read('previous') : undefined };
  }

  /** A rotation that was cut off between its two renames goes on; one that had not begun them is forgotten. */
  #repair(): void {
    const [next, authority] = [this.#file('next'), this.#file('authority')];
    if (!existsSync(next)) return;
    if (existsSync(authority)) rmSync(next);
    else this.#move(next, authority);
  }

  #read(name: 'authority' | 'previous'): Promise<Authority> {
    const file = this.#file(name);
    try {
      return readAuthority(readFileSync(file, 'utf8'), file);
    } catch (error) {
      throw new CellwallError('invalid_option', `${file}: ${(error as Error).message}`);
    }
  }

  create(authority: Authority): void {
    this.#replace(this.#file('authority'), authority.keyPem + authority.certificatePem);
  }

  /** What signed until now is previous from here on. */
  rotate(authority: Authority): void {
    this.#replace(this.#file('next'), authority.keyPem + authority.certificatePem);
    this.#move(this.#file('authority'), this.#file('previous'));
    this.#move(this.#file('next'), this.#file('authority'));
  }

  /** The previous authority and its key are gone for good. */
  finish(): void {
    rmSync(this.#file('previous'), { force: true });
    syncFolder(this.path);
  }

  /** undefined: there is none. */
  server(): string | undefined {
    const file = this.#file('server');
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }

  setServer(pem: string): void {
    this.#replace(this.#file('server'), pem);
  }
}
