// SPDX-License-Identifier: Apache-2.0
//
// One UTC day of flows: written in one transaction with how far each node has come.
import type { Database, Statement } from 'better-sqlite3';
import type { DecodedFlows } from '../ingest/decode.js';
import { DAY_MIGRATIONS } from './migrations.js';
import { openForWriting } from './open.js';

/** A batch of a node whose rows from `skip` on are new. */
export interface NewRows {
  readonly node: string;
  readonly epoch: string;
  readonly flows: DecodedFlows | undefined;
  readonly skip: number;
  /** Ids of the containers and process names, by the message's own indexes. */
  readonly containers: readonly number[];
  readonly names: readonly number[];
  /** Events committed once this is. */
  readonly committed: number;
  readonly hole: { first: number; last: number; reason: number } | undefined;
}

const COLUMNS = 20;
/** One statement for many rows takes half the time of one for each. */
const ROWS_PER_STATEMENT = 32;

const insertSql = (rows: number) =>
  `INSERT INTO flows (container, end_us, duration, kind, local_high, local_low, local_port, remote_high, remote_low, remote_port,
    sent, received, sent_packets, received_packets, rtt, retransmits, rule, generation, process, process_name)
   VALUES ${Array(rows)
     .fill(`(${Array(COLUMNS).fill('?').join(',')})`)
     .join(',')}`;

export class DayFile {
  readonly day: string;
  readonly #database: Database;
  readonly #insertMany: Statement;
  readonly #insertOne: Statement;
  readonly #progress: Statement;
  readonly #span: Statement;
  readonly #loss: Statement;
  #firstUs = Number.POSITIVE_INFINITY;
  #lastUs = 0;
  #added = 0;

  constructor(file: string, day: string) {
    this.day = day;
    this.#database = openForWriting(file, DAY_MIGRATIONS);
    this.#insertMany = this.#database.prepare(insertSql(ROWS_PER_STATEMENT));
    this.#insertOne = this.#database.prepare(insertSql(1));
    this.#progress = this.#database.prepare(
      `INSERT INTO progress (node, epoch, event, flows) VALUES (?, ?, ?, ?)
       ON CONFLICT (node, epoch) DO UPDATE SET event = excluded.event, flows = flows + excluded.flows`,
    );
    this.#span = this.#database.prepare(
      `INSERT INTO spans (last_id, first_id, first_us, last_us) SELECT max(id), max(id) - ? + 1, ?, ? FROM flows`,
    );
    this.#loss = this.#database.prepare(
      'INSERT INTO losses (node, epoch, reason, first_event, last_event, noticed_us) VALUES (?, ?, ?, ?, ?, ?)',
    );
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
    this.#firstUs = Number.POSITIVE_INFINITY;
    this.#lastUs = 0;
    this.#added = 0;
    this.#database.transaction(() => {
      for (const batch of batches) {
        if (batch.hole)
          this.#loss.run(batch.node, batch.epoch, batch.hole.reason, batch.hole.first, batch.hole.last, nowUs);
        if (batch.flows) this.#insert(batch, batch.flows);
        this.#progress.run(batch.node, batch.epoch, batch.committed, batch.flows ? batch.flows.rows - batch.skip : 0);
      }
      if (this.#added > 0) this.#span.run(this.#added, this.#firstUs, this.#lastUs);
    })();
  }

  #insert(batch: NewRows, flows: DecodedFlows): void {
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
    this.#added += flows.rows - batch.skip;
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
  names: Pick<NewRows, 'containers' | 'names'>,
  flows: DecodedFlows,
  i: number,
): void {
  const { columns, addresses } = flows;
  const local = addresses[columns.localAddress[i] as number];
  const remote = addresses[columns.remoteAddress[i] as number];
  values.push(
    names.containers[columns.cgroup[i] as number],
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
    names.names[columns.processName[i] as number],
  );
}
