// SPDX-License-Identifier: Apache-2.0
//
// All writing, on one thread. A commit writes names first, then day files, then copies: a crash between them leaves rows out
// that were not acknowledged, and never rows without names.
import { statSync } from 'node:fs';
import { CellwallError } from '../errors.js';
import { type DecodedBatch, decodeBatch } from '../ingest/decode.js';
import { addressText } from '../policy/network.js';
import { toBits } from './addresses.js';
import { DayFile, type NewLookup, type NewRows } from './day_file.js';
import { bytesOf, DAY_US, dayFor, dayOf, dayPath, listDays, removeDay } from './days.js';
import { takeEvents } from './events.js';
import { rememberedFrom } from './forgetting.js';
import { isCorrupt, isOutOfSpace, isStoreError, setAside } from './open.js';
import { daysKeptTwice, keepRollUp, listMonths, retireRollUps, rollUpPath } from './roll_ups.js';
import { bootOf, State } from './state.js';

export interface RawBatch {
  /** Of the server's own numbering of streams. */
  readonly stream: number;
  readonly node: string;
  readonly epoch: string;
  /** A serialized FlowBatch. */
  readonly data: Uint8Array;
}

export interface Acknowledged {
  readonly stream: number;
  readonly sequence: number;
  readonly committed: number;
}

export interface CommitResult {
  readonly acknowledged: Acknowledged[];
  readonly refused: { stream: number; message: string }[];
}

export interface StorageOptions {
  readonly folder: string;
  readonly retentionDays: number;
  readonly maxBytes: number;
  /** Of sums by hour, which stay when the rows of their day go. */
  readonly rollUpDays: number;
  readonly warn: (message: string) => void;
}

interface Prepared extends NewRows {
  readonly stream: number;
  readonly batch: DecodedBatch;
  readonly lookups: readonly NewLookup[];
  /** Of an earlier boot: what is open now is not what it ended. */
  readonly earlier: boolean;
}

/** Batches in their order, so that no file knows of an event whose predecessors still wait for another file. */
function runsOfDays(prepared: readonly Prepared[], nowUs: number): [string, Prepared[]][] {
  const runs: [string, Prepared[]][] = [];
  for (const it of prepared) {
    if (it.batch.firstEventIndex === 0) continue;
    const firstUs = it.flows && it.skip < it.flows.rows ? (it.flows.endUs[it.skip] as number) : nowUs;
    const day = dayFor(firstUs, nowUs);
    const last = runs.at(-1);
    if (last?.[0] === day) last[1].push(it);
    else runs.push([day, [it]]);
  }
  return runs;
}

export class Storage {
  readonly state: State;
  readonly #options: StorageOptions;
  readonly #days = new Map<string, DayFile>();
  readonly #committed = new Map<string, number>();
  #forgotOn = '';

  constructor(options: StorageOptions) {
    this.#options = options;
    this.state = new State(options.folder);
    this.#endRetiring();
    for (const { node, epoch, event } of this.state.committed()) this.#advance(node, epoch, event);
    for (const day of listDays(options.folder)) {
      for (const { node, epoch, event } of this.#day(day, Date.now() * 1000).progress())
        this.#advance(node, epoch, event);
    }
  }

  /** Of days whose sums were kept, and whose file outlived a crash. */
  #endRetiring(): void {
    const { folder } = this.#options;
    for (const month of listMonths(folder))
      try {
        for (const day of daysKeptTwice(folder, month, listDays(folder))) removeDay(folder, day);
      } catch (error) {
        if (!isCorrupt(error)) throw error;
        const aside = setAside(rollUpPath(folder, month), Date.now() * 1000);
        this.#options.warn(`the sums of ${month} are damaged: set aside as ${aside}`);
      }
  }

  committed(node: string, epoch: string): number {
    return this.#committed.get(`${node}\0${epoch}`) ?? 0;
  }

  #advance(node: string, epoch: string, event: number): void {
    const key = `${node}\0${epoch}`;
    this.#committed.set(key, Math.max(this.#committed.get(key) ?? 0, event));
  }

  #day(day: string, nowUs: number): DayFile {
    const open = this.#days.get(day);
    if (open) return open;
    const file = dayPath(this.#options.folder, day);
    let opened: DayFile;
    try {
      opened = new DayFile(file, day);
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.quarantine(day, nowUs);
      opened = new DayFile(file, day);
    }
    this.#days.set(day, opened);
    for (const old of [...this.#days.keys()].sort().slice(0, -3)) {
      this.#days.get(old)?.close();
      this.#days.delete(old);
    }
    return opened;
  }

  /** Sets a damaged day aside; with an inode: unless that was done already. */
  quarantine(day: string, nowUs: number, inode?: number): void {
    const file = dayPath(this.#options.folder, day);
    if (inode !== undefined && statSync(file, { throwIfNoEntry: false })?.ino !== inode) return;
    this.#saveProgress();
    this.#days.get(day)?.close();
    this.#days.delete(day);
    const aside = setAside(file, nowUs);
    this.#options.warn(`the flows of ${day} are damaged: set aside as ${aside}, a new file was begun`);
  }

  /** Everything of the batches is on disk when it returns; on an error, the same batches can be given again. */
  commit(raw: readonly RawBatch[], nowUs: number): CommitResult {
    const result: CommitResult = { acknowledged: [], refused: [] };
    this.state.onDay(nowUs);
    const prepared = this.state.transaction(() => this.#prepare(raw, result, nowUs));
    for (const [day, run] of runsOfDays(prepared, nowUs)) {
      this.#onDay(day, nowUs, (file) => file.commit(run, nowUs));
      for (const { node, epoch, committed } of run) this.#advance(node, epoch, committed);
    }
    this.#commitLookups(prepared, nowUs);
    this.state.transaction(() => {
      for (const it of prepared) this.#commitState(it, nowUs);
    });
    for (const it of prepared)
      result.acknowledged.push({
        stream: it.stream,
        sequence: it.batch.sequence,
        committed: this.committed(it.node, it.epoch),
      });
    return result;
  }

  #onDay(day: string, nowUs: number, write: (file: DayFile) => void): void {
    try {
      write(this.#day(day, nowUs));
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      this.quarantine(day, nowUs);
      write(this.#day(day, nowUs));
    }
  }

  #prepare(raw: readonly RawBatch[], result: CommitResult, nowUs: number): Prepared[] {
    const prepared: Prepared[] = [];
    // Several batches of a node can be in one commit.
    const reached = new Map<string, number>();
    for (const { stream, node, epoch: current, data } of raw) {
      try {
        const batch = decodeBatch(data);
        const epoch = batch.epoch || current;
        const key = `${node}\0${epoch}`;
        const one = this.#prepareOne(
          stream,
          node,
          epoch,
          bootOf(epoch) !== bootOf(current),
          batch,
          reached.get(key) ?? this.committed(node, epoch),
          nowUs,
        );
        reached.set(key, one.committed);
        prepared.push(one);
      } catch (error) {
        if (!(error instanceof CellwallError)) throw error;
        result.refused.push({ stream, message: error.message });
      }
    }
    return prepared;
  }

  #prepareOne(
    stream: number,
    node: string,
    epoch: string,
    earlier: boolean,
    batch: DecodedBatch,
    before: number,
    nowUs: number,
  ): Prepared {
    const flows = batch.ended;
    for (const facts of batch.containers) this.state.nameContainer(node, epoch, facts, nowUs);
    return {
      stream,
      node,
      epoch,
      batch,
      flows,
      earlier,
      ...takeEvents(batch, before),
      containers: flows?.cgroups.map((cgroup) => this.state.containerId(node, epoch, cgroup, nowUs)) ?? [],
      strings: flows?.strings.map((text) => this.state.stringId(text)) ?? [],
      lookups: batch.lookups.map((it) => ({
        container: this.state.containerId(node, epoch, it.cgroup, nowUs),
        windowUs: it.windowUs,
        name: this.state.stringId(it.name),
        type: it.type,
        result: it.result,
        count: it.count,
        addresses: it.addresses.map(({ high, low }) => addressText(toBits(high, low))),
      })),
    };
  }

  #commitState(it: Prepared, nowUs: number): void {
    const { node, epoch, batch } = it;
    for (const { reason, total } of batch.kernelLosses) this.state.setKernelLoss(node, epoch, reason, total, nowUs);
    if (it.flows && !it.earlier) this.state.open.ended(node, it.flows, it.skip);
    if (!batch.open) return;
    const { flows, listeners, timeUs } = batch.open;
    const containerOf = (cgroup: number) => this.state.containerId(node, epoch, cgroup, timeUs);
    const strings = flows.strings.map((text) => this.state.stringId(text));
    this.state.open.replace(node, flows, flows.cgroups.map(containerOf), strings);
    this.state.open.setListeners(
      node,
      listeners.map((listener) => ({ container: containerOf(listener.cgroup), listener })),
      timeUs,
    );
  }

  /** Look-ups of one window are in one file, so that one that comes again replaces itself. */
  #commitLookups(prepared: readonly Prepared[], nowUs: number): void {
    const days = new Map<string, NewLookup[]>();
    for (const it of prepared.flatMap(({ lookups }) => lookups)) {
      const day = dayFor(it.windowUs, nowUs);
      days.set(day, [...(days.get(day) ?? []), it]);
    }
    for (const [day, lookups] of days) this.#onDay(day, nowUs, (file) => file.addLookups(lookups));
  }

  /** A bounded piece of the work that makes old rows quick to find; true: there may be more. */
  digest(): boolean {
    return [...this.#days.values()].some((day) => day.digest());
  }

  /** For when day files go, which know it first. */
  #saveProgress(): void {
    this.state.transaction(() => {
      for (const [key, event] of this.#committed) {
        const [node = '', epoch = ''] = key.split('\0');
        this.state.setCommitted(node, epoch, event);
      }
    });
  }

  /** Unlinks days that are too old, and the oldest ones while there is too much; never today. */
  retire(nowUs: number): string[] {
    const { folder, retentionDays, maxBytes } = this.#options;
    const oldest = dayOf(nowUs - retentionDays * DAY_US);
    const today = dayOf(nowUs);
    let bytes = this.bytes();
    const gone: string[] = [];
    for (const day of listDays(folder)) {
      if (day === today || (day >= oldest && bytes <= maxBytes)) break;
      bytes -= bytesOf(dayPath(folder, day));
      this.#retireDay(day);
      gone.push(day);
    }
    retireRollUps(folder, this.#options.rollUpDays, nowUs);
    this.#forget(nowUs);
    return gone;
  }

  /** Once a day, in pieces. */
  #forget(nowUs: number): void {
    const today = dayOf(nowUs);
    if (this.#forgotOn === today) return;
    if (!this.state.forgetBefore(rememberedFrom(nowUs, this.#options))) this.#forgotOn = today;
  }

  /** Of all days. */
  bytes(): number {
    const { folder } = this.#options;
    return listDays(folder).reduce((sum, day) => sum + bytesOf(dayPath(folder, day)), 0);
  }

  /** How far nodes have come has to be known elsewhere before a day goes; only on a full disk that takes the room of the day. */
  #retireDay(day: string): void {
    const saved = this.#trySave();
    this.#days.get(day)?.close();
    this.#days.delete(day);
    this.#keepRollUp(day);
    removeDay(this.#options.folder, day);
    if (!saved) this.#saveProgress();
  }

  /** A disk that is full, or a day that is damaged, is no reason to keep the day. */
  #keepRollUp(day: string): void {
    try {
      keepRollUp(this.#options.folder, day);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.#options.warn(`the sums of ${day} could not be kept: ${(error as Error).message}`);
    }
  }

  #trySave(): boolean {
    try {
      this.#saveProgress();
      return true;
    } catch (error) {
      if (!isOutOfSpace(error)) throw error;
      return false;
    }
  }

  /** For tests of a full disk. */
  limitPages(day: string, pages: number): void {
    this.#day(day, Date.now() * 1000).limitPages(pages);
  }

  close(): void {
    // The days know it too.
    this.#trySave();
    for (const day of this.#days.values()) day.close();
    this.state.close();
  }
}
