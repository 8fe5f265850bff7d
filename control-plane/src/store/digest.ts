// SPDX-License-Identifier: Apache-2.0
//
// What makes old rows quick to ask about: for each full segment of a day file, the callers' ports of its rows, and their sums by
// hour. A segment is digested in one transaction, so a crash repeats it or not; rows behind the last one are read as they are.
import type { Database, Statement } from 'better-sqlite3';
import { packPorts, SEGMENT_ROWS } from './caller_ports.js';
import type { NewRows } from './day_file.js';
import { EDGE_GROUP, EDGE_KEYS, EDGE_SUMS, edgeFlows, MERGE_EDGES } from './edge_columns.js';
import { EdgeSums } from './edge_sums.js';
import { NotedPorts } from './noted_ports.js';

export class Digest {
  readonly #database: Database;
  readonly #noted: NotedPorts;
  readonly #sums: EdgeSums;
  readonly #times: Statement;
  readonly #addPorts: Statement;
  readonly #addEdges: Statement;
  readonly #addEdge: Statement;
  readonly #addSegment: Statement;
  #done: number;

  /** nextId: of the first row that will be noted. */
  constructor(database: Database, nextId: number) {
    this.#database = database;
    this.#done = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
    this.#noted = new NotedPorts(database, nextId);
    this.#sums = new EdgeSums(nextId);
    this.#times = database.prepare(
      'SELECT min(end_us) AS firstUs, max(end_us) AS lastUs FROM flows WHERE id BETWEEN ? AND ?',
    );
    this.#addPorts = database.prepare('INSERT INTO caller_ports (port_group, segment, entries) VALUES (?, ?, ?)');
    this.#addEdges = database.prepare(
      `INSERT INTO edges SELECT ${EDGE_KEYS}, ${EDGE_SUMS} FROM ${edgeFlows()}
       WHERE f.id BETWEEN ? AND ? ${EDGE_GROUP}
       ${MERGE_EDGES}`,
    );
    this.#addEdge = database.prepare(`INSERT INTO edges VALUES (${Array(18).fill('?').join(',')}) ${MERGE_EDGES}`);
    this.#addSegment = database.prepare(
      'INSERT INTO segments (last_id, first_id, first_us, last_us) VALUES (?, ?, ?, ?)',
    );
  }

  /** Rows of the batch from `skip` on, which become rows from `id` on. */
  note(id: number, batch: NewRows): void {
    if (batch.flows) this.#noted.add(id, batch.skip, batch.flows);
    this.#sums.add(id, batch);
  }

  /** Rows from this one on were noted and are not there after all. */
  undo(id: number): void {
    this.#sums.undo(id);
  }

  /** Digests the next segment if rows up to `lastId` fill it; true: it did, there may be another. */
  run(lastId: number): boolean {
    const first = this.#done + 1;
    const last = this.#done + SEGMENT_ROWS;
    if (lastId < last) return false;
    this.#database.transaction(() => {
      const { ports, inner } = this.#noted.of(first, last);
      for (const [group, entries] of packPorts(ports, inner)) this.#addPorts.run(group, last, entries);
      const { firstUs, lastUs } = this.#addSums(first, last);
      this.#addSegment.run(last, first, firstUs, lastUs);
    })();
    this.#done = last;
    this.#noted.forget(last);
    return true;
  }

  /** Returns when the first and the last of the rows ended. */
  #addSums(first: number, last: number): { firstUs: number; lastUs: number } {
    const sums = this.#sums.take(last);
    if (!sums) {
      this.#addEdges.run(first, last);
      return this.#times.get(first, last) as { firstUs: number; lastUs: number };
    }
    const times = { firstUs: Number.POSITIVE_INFINITY, lastUs: 0 };
    for (const { key, flows, sent, received, firstUs, lastUs } of sums) {
      this.#addEdge.run(...key, flows, sent, received, firstUs, lastUs);
      times.firstUs = Math.min(times.firstUs, firstUs);
      times.lastUs = Math.max(times.lastUs, lastUs);
    }
    return times;
  }
}
