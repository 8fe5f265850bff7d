// SPDX-License-Identifier: Apache-2.0
//
// Room on the disk that flows cannot have: given up when the disk is full, so that policies, tokens and the audit log can still
// be written, and taken back before flows are stored again.
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Enough for hundreds of changes: a change of policy takes some pages of the write-ahead log, which is used again from 4 MiB. */
const MOST_BYTES = 8 << 20;
/** On a small disk: this part of it. */
const LEAST_PART = 32;
const CHUNK = 1 << 16;
/** What must be free beside the reserve before flows are stored again, so that it is not given up at the next commit. */
const MARGIN = 1;

export class Reserve {
  readonly #file: string;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, 'reserve');
  }

  #size(): number {
    const { blocks, bsize } = statfsSync(this.#folder);
    return Math.min(MOST_BYTES, Math.floor((blocks * bsize) / LEAST_PART));
  }

  /** Takes the room, when there is so much and a margin. True: it is held. */
  hold(): boolean {
    const wanted = this.#size();
    const has = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (has >= wanted) return true;
    const { bavail, bsize } = statfsSync(this.#folder);
    if (bavail * bsize < wanted - has + MARGIN * wanted) return false;
    const file = openSync(this.#file, 'w', 0o600);
    try {
      // Random, since some file systems keep zeros without any room.
      const bytes = randomBytes(CHUNK);
      for (let at = 0; at < wanted; at += CHUNK) writeSync(file, bytes, 0, Math.min(CHUNK, wanted - at), at);
      fsyncSync(file);
      return true;
    } catch {
      ftruncateSync(file, 0);
      return false;
    } finally {
      closeSync(file);
    }
  }

  /** True: there is more room now. */
  release(): boolean {
    const has = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (has === 0) return false;
    truncateSync(this.#file, 0);
    return true;
  }
}
