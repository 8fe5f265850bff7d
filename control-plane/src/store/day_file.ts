// SPDX-License-Identifier: Apache-2.0
//
// One UTC day of flows: written in one transaction with how far each node has come.
import type { Database, Statement } from 'better-sqlite3';
import type { DecodedFlows, DecodedTranslation } from '../ingest/decode.js';
import { Digest } from './digest.js';
import { DAY_MIGRATIONS } from './migrations.js';
import { openForWriting } from './open.js';

/** A batch of a node whose rows from `skip` on are new. */
export interface NewRows {
  readonly node: string;
  readonly epoch: string;
  readonly flows: DecodedFlows | undefined;
  readonly skip: number;
  /** Ids of the containers and texts, by the message's own indexes. */
  readonly containers: readonly number[];
  readonly strings: readonly number[];
  /** Events committed once this is. */
  readonly committed: number;
  readonly losses: readonly NewLoss[];
}

/** Events that were made and will never come. */
export interface NewLoss {
  readonly reason: number;
  readonly firstEvent: number;
  readonly lastEvent: number;
  /** Less than the events between these two, when others of them are there. */
  readonly count: number;
  /** When they were made; null: not known. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
}

/** cellwall.v1.Lookup with the ids of the store. */
export interface NewLookup {
  readonly container: number;
  readonly windowUs: number;
  readonly name: number;
  readonly type: number;
  readonly result: number;
  readonly count: number;
  readonly addresses: readonly string[];
}

const COLUMNS = 22;
const ROWS_PER_STATEMENT = 32;

/** OR FAIL: else SQLite keeps a copy of every page that a statement touches, to undo that statement alone; that takes half of the
 * time, and the whole transaction is undone anyway. */
const insertSql = (rows: number) =>
  `INSERT OR FAIL INTO flows (container, end_us, duration, kind, local_high, local_low, local_port, remote_high, remote_low, remote_port,
    sent, received, sent_packets, received_packets, rtt, retransmits, rule, generation, process, process_name, name, server_name)
   VALUES ${Array(rows)
     .fill(`(${Array(COLUMNS).fill('?').join(',')})`)
     .join(',')}`;

const TRANSLATION_COLUMNS = 7;
const translateSql = (rows: number) =>
  `INSERT OR FAIL INTO translations (id, source_high, source_low, source_port, destination_high, destination_low, destination_port)
   VALUES ${Array(rows).fill('(?,?,?,?,?,?,?)').join(',')}`;

export class DayFile {
  readonly day: string;
  readonly #database: Database;
  readonly #insertMany: Statement;
  readonly #insertOne: Statement;
  readonly #progress: Statement;
  readonly #span: Statement;
  readonly #loss: Statement;
  readonly #translateMany: Statement;
  readonly #translateOne: Statement;
  readonly #lookup: Statement;
  readonly #count: Statement;
  readonly #digest: Digest;
  #nextId: number;
  #firstUs = Number.POSITIVE_INFINITY;
  #lastUs = 0;

  constructor(file: string, day: string) {
    this.day = day;
    this.#database = openForWriting(file, DAY_MIGRATIONS);
    this.#insertMany = this.#database.prepare(insertSql(ROWS_PER_STATEMENT));
    this.#insertOne = this.#database.prepare(insertSql(1));
    this.#progress = this.#database.prepare(
      `INSERT INTO progress (node, epoch, event, flows) VALUES (?, ?, ?, ?)
       ON CONFLICT (node, epoch) DO UPDATE SET event = excluded.event, flows = flows + excluded.flows`,
    );
    this.#span = this.#database.prepare('INSERT INTO spans (first_id, last_id, first_us, last_us) VALUES (?, ?, ?, ?)');
    this.#translateMany = this.#database.prepare(translateSql(ROWS_PER_STATEMENT));
    this.#translateOne = this.#database.prepare(translateSql(1));
    this.#lookup = this.#database.prepare(
      `INSERT INTO lookups (container, window_us, name, type, result, count, addresses) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET count = excluded.count, addresses = excluded.addresses`,
    );
    this.#nextId = ((this.#database.prepare('SELECT max(id) FROM flows').pluck().get() as number | null) ?? 0) + 1;
    this.#digest = new Digest(this.#database, this.#nextId);
    this.#loss = this.#database.prepare(
      `INSERT INTO losses (node, epoch, reason, first_event, last_event, count, first_us, last_us, noticed_us)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#count = this.#database.prepare('INSERT INTO counts (id, count) VALUES (?, ?)');
  }

  progress(): { node: string; epoch: string; event: number }[] {
    return this.#database.prepare('SELECT node, epoch, event FROM progress').all() as {
      node: string;
      epoch: string;
      event: number;
    }[];
  }

  /** All or nothing; on disk when it returns. */
  commit(batches: readonly NewRows[], nowUs: number): void {
    const before = this.#nextId;
    this.#firstUs = Number.POSITIVE_INFINITY;
    this.#lastUs = 0;
    try {
      this.#database.transaction(() => {
        for (const batch of batches) {
          for (const it of batch.losses)
            this.#loss.run(
              batch.node,
              batch.epoch,
              it.reason,
              it.firstEvent,
              it.lastEvent,
              it.count,
              it.firstUs,
              it.lastUs,
              nowUs,
            );
          const stored = batch.flows ? this.#insert(batch, batch.flows) : 0;
          this.#progress.run(batch.node, batch.epoch, batch.committed, stored);
        }
        if (this.#nextId > before) this.#span.run(before, this.#nextId - 1, this.#firstUs, this.#lastUs);
      })();
    } catch (error) {
      this.#nextId = before;
      this.#digest.undo(before);
      throw error;
    }
  }

  /** Returns how many flows the rows stand for. */
  #insert(batch: NewRows, flows: DecodedFlows): number {
    this.#insertTranslations(batch, flows);
    this.#digest.note(this.#nextId, batch);
    let stored = flows.rows - batch.skip;
    for (const { row, count } of flows.merged) {
      if (row < batch.skip) continue;
      this.#count.run(this.#nextId + row - batch.skip, count);
      stored += count - 1;
    }
    let values: unknown[] = [];
    for (let i = batch.skip; i < flows.rows; i++) {
      pushRow(values, batch, flows, i);
      const end = flows.endUs[i] as number;
      if (end < this.#firstUs) this.#firstUs = end;
      if (end > this.#lastUs) this.#lastUs = end;
      if (values.length === COLUMNS * ROWS_PER_STATEMENT) {
        this.#insertMany.run(values);
        values = [];
      }
    }
    for (let at = 0; at < values.length; at += COLUMNS) this.#insertOne.run(values.slice(at, at + COLUMNS));
    this.#nextId += flows.rows - batch.skip;
    return stored;
  }

  #insertTranslations(batch: NewRows, flows: DecodedFlows): void {
    let values: unknown[] = [];
    for (const it of flows.translations) {
      if (it.row < batch.skip) continue;
      pushTranslation(values, this.#nextId + it.row - batch.skip, it, flows);
      if (values.length === TRANSLATION_COLUMNS * ROWS_PER_STATEMENT) {
        this.#translateMany.run(values);
        values = [];
      }
    }
    for (let at = 0; at < values.length; at += TRANSLATION_COLUMNS)
      this.#translateOne.run(values.slice(at, at + TRANSLATION_COLUMNS));
  }

  /** A window that comes again replaces itself. */
  addLookups(lookups: readonly NewLookup[]): void {
    this.#database.transaction(() => {
      for (const it of lookups)
        this.#lookup.run(
          it.container,
          it.windowUs,
          it.name,
          it.type,
          it.result,
          it.count,
          JSON.stringify(it.addresses),
        );
    })();
  }

  /** Digests one run of rows, if there are enough; true: there may be more. */
  digest(): boolean {
    return this.#digest.run(this.#nextId - 1);
  }

  /** For tests of a full disk. */
  limitPages(pages: number): void {
    this.#database.pragma(`max_page_count = ${pages}`);
  }

  close(): void {
    this.#database.close();
  }
}

/** The values of one row in the order of the columns above, without the id. */
export function pushRow(
  values: unknown[],
  ids: Pick<NewRows, 'containers' | 'strings'>,
  flows: DecodedFlows,
  i: number,
): void {
  const { columns, addresses } = flows;
  const local = addresses[columns.localAddress[i] as number];
  const remote = addresses[columns.remoteAddress[i] as number];
  values.push(
    ids.containers[columns.cgroup[i] as number],
    flows.endUs[i],
    columns.durationPlusOne[i],
    flows.kinds[i],
    local?.high,
    local?.low,
    columns.localPort[i],
    remote?.high,
    remote?.low,
    columns.remotePort[i],
    columns.sentBytesPlusOne[i],
    columns.receivedBytesPlusOne[i],
    columns.sentPackets[i],
    columns.receivedPackets[i],
    columns.rttUs[i],
    columns.retransmits[i],
    columns.rule[i],
    columns.generation[i],
    columns.processId[i],
    ids.strings[columns.processName[i] as number],
    idOrNone(ids.strings, flows.names[i] as number),
    idOrNone(ids.strings, flows.serverNames[i] as number),
  );
}

const idOrNone = (strings: readonly number[], plusOne: number): number =>
  plusOne === 0 ? 0 : (strings[plusOne - 1] as number);

/** The values of the table `translations`, in day files and in the state file. */
export function pushTranslation(
  values: unknown[],
  id: number,
  it: DecodedTranslation,
  { addresses }: DecodedFlows,
): void {
  const source = addresses[it.source];
  const destination = addresses[it.destination];
  values.push(id, source?.high, source?.low, it.sourcePort, destination?.high, destination?.low, it.destinationPort);
}
