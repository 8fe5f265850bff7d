// SPDX-License-Identifier: Apache-2.0
//
// What makes old rows quick to ask about: for each full segment of a day file, the callers' ports of its rows, and their sums by
// hour. A segment is digested in one transaction, so a crash repeats it or not; rows behind the last one are read as they are.
import type { Database, Statement } from 'better-sqlite3';
import { CALLER_PORT, INNER_PORT, packPorts, SEGMENT_ROWS } from './caller_ports.js';

export const HOUR_US = 3600e6;

/** Parts of `kind` that edges keep apart: all but flags, how it ended, and why it failed. */
const EDGE_KIND = 0x3f800fff;
/** Columns of edges that name one, of a flow `f` with its translation `t`: the port is the server's, as it was asked for. */
export const EDGE_KEYS = `f.end_us / ${HOUR_US} AS hour, f.container, f.kind & ${EDGE_KIND} AS kind, f.remote_high AS peer_high, f.remote_low AS peer_low,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN f.remote_port ELSE f.local_port END AS port,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_high, 0) ELSE 0 END AS backend_high,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_low, 0) ELSE 0 END AS backend_low,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_port, 0) ELSE 0 END AS backend_port,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.source_high, 0) ELSE 0 END AS outside_high,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.source_low, 0) ELSE 0 END AS outside_low, f.rule, f.name`;
export const EDGE_GROUP = 'GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13';
/** `sent` and `received` of rows are plus one, 0 for unknown. */
export const EDGE_SUMS = `count(*) AS flows, sum(max(f.sent - 1, 0)) AS sent, sum(max(f.received - 1, 0)) AS received,
  min(f.end_us) AS first_us, max(f.end_us) AS last_us`;

export class Digest {
  readonly #database: Database;
  readonly #ports: Statement;
  readonly #times: Statement;
  readonly #addPorts: Statement;
  readonly #addEdges: Statement;
  readonly #addSegment: Statement;
  #done: number;

  constructor(database: Database) {
    this.#database = database;
    this.#done = (database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null) ?? 0;
    this.#ports = database
      .prepare(
        `SELECT f.id - ?, ${CALLER_PORT}, ${INNER_PORT} FROM flows f LEFT JOIN translations t ON t.id = f.id WHERE f.id BETWEEN ? AND ?`,
      )
      .raw();
    this.#times = database.prepare(
      'SELECT min(end_us) AS first, max(end_us) AS last FROM flows WHERE id BETWEEN ? AND ?',
    );
    this.#addPorts = database.prepare('INSERT INTO caller_ports (port_group, segment, entries) VALUES (?, ?, ?)');
    this.#addEdges = database.prepare(
      `INSERT INTO edges SELECT ${EDGE_KEYS}, ${EDGE_SUMS} FROM flows f LEFT JOIN translations t ON t.id = f.id
       WHERE f.id BETWEEN ? AND ? ${EDGE_GROUP}
       ON CONFLICT DO UPDATE SET flows = flows + excluded.flows, sent = sent + excluded.sent, received = received + excluded.received,
         first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)`,
    );
    this.#addSegment = database.prepare(
      'INSERT INTO segments (last_id, first_id, first_us, last_us) VALUES (?, ?, ?, ?)',
    );
  }

  /** Digests the next segment if rows up to `lastId` fill it; true: it did, there may be another. */
  run(lastId: number): boolean {
    const first = this.#done + 1;
    const last = this.#done + SEGMENT_ROWS;
    if (lastId < last) return false;
    this.#database.transaction(() => {
      for (const [group, entries] of packPorts(this.#portsOf(first, last))) this.#addPorts.run(group, last, entries);
      this.#addEdges.run(first, last);
      const times = this.#times.get(first, last) as { first: number; last: number };
      this.#addSegment.run(last, first, times.first, times.last);
    })();
    this.#done = last;
    return true;
  }

  *#portsOf(first: number, last: number): Generator<[number, number]> {
    for (const row of this.#ports.iterate(first, first, last)) {
      const [place, port, inner] = row as [number, number, number | null];
      yield [place, port];
      if (inner !== null) yield [place, inner];
    }
  }
}
