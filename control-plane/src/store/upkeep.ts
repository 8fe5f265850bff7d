// SPDX-License-Identifier: Apache-2.0
//
// What goes on beside flows and questions: checks after a crash, backups. Seen from the main thread.
import { setTimeout as sleep } from 'node:timers/promises';
import { CellwallError } from '../errors.js';
import type { Logger } from '../logger.js';
import type { BackupOptions, BackupResult } from './backup/backup.js';
import { type Gate, makeGate } from './backup/gate.js';
import type { LastStop } from './clean_stop.js';
import type { Checked } from './integrity.js';
import type { MaintenanceMethods } from './maintenance.js';
import type { FromWorker, WorkerOptions } from './protocol.js';
import type { Start } from './start.js';
import { WorkerClient } from './worker_client.js';
import type { WriterMethods } from './writer_calls.js';

const LONGEST_CLOSE_MS = 2000;

export interface Integrity {
  readonly lastStop: LastStop;
  /** Of files that are still to be read. */
  readonly waiting: number;
  readonly checked: readonly Checked[];
}

export interface BackupState {
  readonly running: boolean;
  readonly to: string;
  readonly startedUs: number;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly result: BackupResult | null;
  readonly error: string | null;
}

export class Upkeep {
  readonly #writer: WorkerClient<WriterMethods>;
  readonly #options: WorkerOptions;
  readonly #log: Logger;
  readonly #receive: (message: FromWorker) => void;
  #maintenance: WorkerClient<MaintenanceMethods> | undefined;
  #integrity: Integrity = { lastStop: 'none', waiting: 0, checked: [] };
  #backup: BackupState | null = null;
  #gate: Gate | undefined;

  constructor(
    writer: WorkerClient<WriterMethods>,
    options: WorkerOptions,
    log: Logger,
    receive: (message: FromWorker) => void,
  ) {
    this.#writer = writer;
    this.#options = options;
    this.#log = log;
    this.#receive = receive;
  }

  get integrity(): Integrity {
    return this.#integrity;
  }

  /** null: none since the server was started. */
  get backup(): BackupState | null {
    return this.#backup;
  }

  /** Only when there is work for it: most servers never need it. A failure of it is that of its work alone. */
  #worker(): WorkerClient<MaintenanceMethods> {
    this.#maintenance ??= new WorkerClient(
      './maintenance.js',
      this.#options,
      (message) => this.#heard(message),
      (error) => {
        this.#maintenance = undefined;
        this.#log.error(`maintenance: ${error.message}`);
      },
    );
    return this.#maintenance;
  }

  #heard(message: FromWorker): void {
    if (message.type === 'readyForSnapshot' && this.#gate) void this.#hold(this.#gate);
    else if (message.type !== 'progress') this.#receive(message);
    else if (this.#backup) this.#backup = { ...this.#backup, doneBytes: message.done, totalBytes: message.total };
  }

  started({ lastStop, checked, later }: Start): void {
    this.#integrity = { lastStop, waiting: later.length, checked };
    if (lastStop !== 'crash') return;
    const ms = checked.reduce((sum, it) => sum + it.ms, 0);
    this.#log.warn(
      { checked: checked.length, later: later.length, ms },
      'the server was not stopped in order: files are checked',
    );
    for (const one of checked) this.#tell(one);
    void this.#checkLater(later);
  }

  #tell({ file, result, problem }: Checked): void {
    if (result === 'damaged') this.#log.error({ file, problem }, 'a file is damaged');
  }

  async #checkLater(files: readonly string[]): Promise<void> {
    for (const file of files) {
      try {
        const one = await this.#worker().call('check', file);
        this.#tell(one);
        if (one.result === 'damaged') this.#damaged(file);
        const others = this.#integrity.checked.filter((it) => it.file !== file);
        this.#integrity = { ...this.#integrity, waiting: this.#integrity.waiting - 1, checked: [...others, one] };
      } catch (error) {
        this.#log.error(`${file} could not be checked: ${(error as Error).message}`);
        return;
      }
    }
    if (files.length > 0) this.#log.info({ files: files.length }, 'all files are checked');
  }

  #damaged(file: string): void {
    const day = /^flows-(.*)\.db$/.exec(file)?.[1];
    // state.db stays: what can be read of it is policy in force.
    if (day) this.#writer.call('quarantine', day).catch((error: Error) => this.#log.error(error.message));
  }

  /** Returns at once; throws when one is under way. */
  startBackup(options: Omit<BackupOptions, 'folder'>): BackupState {
    if (this.#backup?.running)
      throw new CellwallError('store_unavailable', `a backup to ${this.#backup.to} is under way: wait for its end`);
    const begun: BackupState = {
      running: true,
      to: options.to,
      startedUs: Date.now() * 1000,
      doneBytes: 0,
      totalBytes: 0,
      result: null,
      error: null,
    };
    this.#backup = begun;
    void this.#runBackup(options);
    return begun;
  }

  async #runBackup(options: Omit<BackupOptions, 'folder'>): Promise<void> {
    this.#gate = makeGate();
    try {
      const result = await this.#worker().call('backup', options, this.#gate);
      this.#log.info(result, 'backup done');
      this.#ended({ result });
    } catch (error) {
      this.#log.error(`backup: ${(error as Error).message}`);
      this.#ended({ error: (error as Error).message });
    }
  }

  /** When it fails, the snapshot does too. */
  async #hold(gate: Gate): Promise<void> {
    await this.#writer.call('hold', gate).catch(() => {});
  }

  #ended(end: Partial<BackupState>): void {
    if (this.#backup) this.#backup = { ...this.#backup, ...end, running: false };
  }

  /** Not for longer than a moment: what reads a large file cannot be interrupted, and ends with the process. */
  async close(): Promise<void> {
    await Promise.race([this.#maintenance?.close(), sleep(LONGEST_CLOSE_MS, undefined, { ref: false })]);
  }
}
