// SPDX-License-Identifier: Apache-2.0
//
// The store as the rest of the server sees it: two threads, and a lock on the folder.
import { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import { CellwallError } from '../errors.js';
import type { Logger } from '../logger.js';
import { FairReader } from './fair_reader.js';
import { FolderLock } from './lock.js';
import type { FromWorker, WorkerOptions } from './protocol.js';
import type { Acknowledged, RawBatch } from './storage.js';
import { Upkeep } from './upkeep.js';
import { WorkerClient } from './worker_client.js';
import type { WriterMethods } from './writer_calls.js';

interface StoreEvents {
  acknowledged: [Acknowledged];
  refused: [{ stream: number; message: string }];
  committed: [];
  failed: [Error];
}

export class Store extends EventEmitter<StoreEvents> {
  readonly writer: WorkerClient<WriterMethods>;
  readonly reader: FairReader;
  readonly upkeep: Upkeep;
  readonly #options: WorkerOptions;
  readonly #lock: FolderLock;
  readonly #log: Logger;
  #trouble: string | null = null;
  #exporter: FairReader | undefined;

  /** Errors: the folder cannot be made, or is in use by another server. */
  constructor(options: WorkerOptions, log: Logger) {
    super();
    // One for each stream of flows.
    this.setMaxListeners(0);
    this.#log = log;
    try {
      mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new CellwallError('invalid_option', `--data ${options.folder}: ${(error as Error).message}`);
    }
    this.#lock = new FolderLock(options.folder);
    this.#options = options;
    const fail = (error: Error) => this.emit('failed', error);
    this.writer = new WorkerClient('./writer.js', options, (message) => this.#receive(message), fail);
    this.reader = this.#newReader();
    this.upkeep = new Upkeep(this.writer, options, log, (message) => this.#receive(message));
  }

  #newReader(): FairReader {
    const receive = (message: FromWorker) => this.#receive(message);
    const fail = (error: Error) => this.emit('failed', error);
    return new FairReader(new WorkerClient('./reader.js', this.#options, receive, fail));
  }

  /** A reader for questions without an end, which must not hold up the others. */
  get exporter(): FairReader {
    this.#exporter ??= this.#newReader();
    return this.#exporter;
  }

  get maxBytes(): number {
    return this.#options.maxBytes;
  }

  /** Why flows cannot be stored now; null: they can. */
  get trouble(): string | null {
    return this.#trouble;
  }

  add(batch: RawBatch): void {
    this.writer.post({ type: 'batch', batch });
  }

  #receive(message: FromWorker): void {
    if (message.type === 'committed') {
      for (const one of message.acknowledged) this.emit('acknowledged', one);
      for (const one of message.refused) this.emit('refused', one);
      this.emit('committed');
    } else if (message.type === 'trouble') {
      if (message.message !== null && this.#trouble === null) this.#log.error(message.message);
      if (message.message === null) this.#log.info('flows are stored again');
      this.#trouble = message.message;
    } else if (message.type === 'started') {
      this.upkeep.started(message.start);
    } else if (message.type === 'retired') {
      for (const day of message.days) this.#log.warn(`the flows of ${day} are past their retention and were removed`);
    } else if (message.type === 'warning') {
      this.#log.warn(message.message);
    } else if (message.type === 'damaged') {
      this.writer
        .call('quarantine', message.day, message.inode)
        .catch((error: Error) => this.#log.error(error.message));
    }
  }

  async close(): Promise<void> {
    await this.#exporter?.close();
    await this.reader.close();
    await this.writer.close();
    await this.upkeep.close();
    this.#lock[Symbol.dispose]();
  }
}
