// SPDX-License-Identifier: Apache-2.0
//
// What waits for the disk: batches, and what agents have told of themselves. Nothing of it is acknowledged before it is
// written, and nothing is dropped while the disk is full.
import { toPlain } from '../errors.js';
import { isOutOfSpace, isStoreError } from './open.js';
import type { FromWorker } from './protocol.js';
import type { Reserve } from './reserve.js';
import type { CommitResult, RawBatch, Storage } from './storage.js';

/** Streams have a window of batches each, so what waits is bounded by windows, not by this. */
const MOST_BATCHES_PER_COMMIT = 256;
/** Decoded, bytes of a batch become some ten times as many. */
const MOST_BYTES_PER_COMMIT = 32 << 20;
/** Segments after each commit: more than a commit can fill, so that none are left behind under load. */
const MOST_DIGESTED = 16;
/** Notes that wait; above it the oldest are dropped: agents list their containers again with each connection. */
const MOST_NOTES = 10_000;
const RETRY_MS = 1000;

export class WriteQueue {
  readonly #storage: Storage;
  readonly #reserve: Reserve;
  readonly #say: (message: FromWorker) => void;
  #batches: RawBatch[] = [];
  readonly #notes: (() => void)[] = [];
  #scheduled = false;
  #trouble = false;
  #outOfSpace = false;

  constructor(storage: Storage, reserve: Reserve, say: (message: FromWorker) => void) {
    this.#storage = storage;
    this.#reserve = reserve;
    this.#say = say;
  }

  addBatch(batch: RawBatch): void {
    this.#batches.push(batch);
    this.#schedule();
  }

  /** Done at once when the disk allows it, else when it does again. */
  note(write: () => void): void {
    if (!this.#trouble) {
      try {
        write();
        return;
      } catch (error) {
        if (!isStoreError(error)) throw error;
        this.#troubled(error);
      }
    }
    this.#notes.push(write);
    if (this.#notes.length > MOST_NOTES) this.#notes.shift();
    this.#schedule();
  }

  /** For what has to be written on a full disk too: takes the reserve. Flows wait until there is room for both. */
  urgent<T>(write: () => T): T {
    try {
      const written = write();
      // What is left of the reserve has to do until there is room.
      if (this.#outOfSpace) this.#note(() => this.#storage.state.checkpoint());
      return written;
    } catch (error) {
      if (!isOutOfSpace(error)) throw error;
      this.#troubled(error);
      this.#schedule();
      if (!this.#reserve.release()) throw error;
      return write();
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#trouble) setTimeout(() => this.#run(), RETRY_MS);
    else setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    try {
      if (this.#outOfSpace && !this.#makeRoom()) {
        this.#schedule();
        return;
      }
      this.#writeNotes();
      const batches = this.#next();
      const { acknowledged, refused } = this.#commit(batches);
      this.#batches = this.#batches.slice(batches.length);
      if (this.#trouble) this.#recovered();
      this.#say({ type: 'committed', acknowledged, refused });
    } catch (error) {
      this.#troubled(error);
    }
    if (this.#digest() || this.#trouble || this.#batches.length > 0 || this.#notes.length > 0) this.#schedule();
  }

  #next(): RawBatch[] {
    let bytes = 0;
    const beyond = this.#batches.findIndex(({ data }, index) => {
      bytes += data.length;
      return index === MOST_BATCHES_PER_COMMIT || (index > 0 && bytes > MOST_BYTES_PER_COMMIT);
    });
    return this.#batches.slice(0, beyond < 0 ? undefined : beyond);
  }

  /** After the commit was told. True: there is more to do. */
  #digest(): boolean {
    if (this.#trouble) return false;
    try {
      for (let piece = 0; piece < MOST_DIGESTED; piece++) if (!this.#storage.digest()) return false;
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.#troubled(error);
      return true;
    }
  }

  #writeNotes(): void {
    for (let note = this.#notes[0]; note; note = this.#notes[0]) {
      try {
        note();
      } catch (error) {
        if (isStoreError(error)) throw error;
        this.#say({ type: 'warning', message: `what an agent told cannot be kept: ${toPlain(error).message}` });
      }
      this.#notes.shift();
    }
  }

  #commit(batches: readonly RawBatch[]): CommitResult {
    const now = Date.now() * 1000;
    try {
      return this.#storage.commit(batches, now);
    } catch (error) {
      if (isStoreError(error)) throw error;
      // Not the disk: one of the batches. It must not hold up the others.
      const result: CommitResult = { acknowledged: [], refused: [] };
      for (const batch of batches) {
        try {
          result.acknowledged.push(...this.#storage.commit([batch], now).acknowledged);
        } catch (cause) {
          if (isStoreError(cause)) throw cause;
          result.refused.push({ stream: batch.stream, message: toPlain(cause).message });
        }
      }
      return result;
    }
  }

  #troubled(error: unknown): void {
    this.#outOfSpace = isOutOfSpace(error);
    const hint = this.#outOfSpace
      ? ': the disk of the data folder is full or failing; make room, or lower --max-bytes'
      : '';
    const message = `flows cannot be stored (${toPlain(error).message})${hint}`;
    if (!this.#trouble) this.#note(() => this.#storage.state.outages.begin(Date.now() * 1000, message));
    this.#trouble = true;
    this.#say({ type: 'trouble', message });
  }

  #recovered(): void {
    this.#note(() => this.#storage.state.outages.end(Date.now() * 1000));
    this.#trouble = false;
    this.#outOfSpace = false;
    this.#say({ type: 'trouble', message: null });
  }

  /** When and how long: what cannot be written now is remembered there. */
  #note(write: () => void): void {
    try {
      write();
    } catch (error) {
      if (!isStoreError(error)) throw error;
    }
  }

  /** Sheds what the limits say, and holds the reserve again. True: flows may be tried. */
  #makeRoom(): boolean {
    this.#say({ type: 'retired', days: this.#storage.retire(Date.now() * 1000) });
    return this.#reserve.hold();
  }
}
