// SPDX-License-Identifier: Apache-2.0
//
// Finds flows by the port of whoever began them, as the far side saw it: what a log of somebody else has, and what the two ends
// of one connection share. An index on the rows would take 15 bytes a flow and half of the writing speed; this takes three, and
// is written a segment at a time. Well-known ports are not looked for by it: a caller's port is some ephemeral one.
import type { Database } from 'better-sqlite3';

/** Rows of a segment: an entry has 15 bits for the place of its row. */
export const SEGMENT_ROWS = 32_768;
/** Of rows that are found: a port that many callers use again and again (53 of name servers) is no way to find one of them. */
const MOST_FOUND = 10_000;
/** Ports of a group share their high byte; an entry is the low byte of the port and 16 bits of the row's place. */
const GROUP_BITS = 8;
const ENTRY_BYTES = 3;

/** The caller's port of a flow `f` with its translation `t`. */
export const CALLER_PORT = `CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.source_port, f.local_port) ELSE f.remote_port END`;
/** Of an egress flow whose port was translated: the one that the container itself used; else NULL. */
export const INNER_PORT = `CASE WHEN (f.kind >> 8) & 3 = 1 AND t.source_port <> f.local_port THEN f.local_port END`;

/** Entries by group. `ports` and `inner` have a port for each place of a segment; of `inner`, 0 stands for none. */
export function packPorts(ports: Uint16Array, inner: Uint16Array): Map<number, Buffer> {
  const counts = new Uint32Array(1 << GROUP_BITS);
  const count = (port: number) => {
    counts[port >> GROUP_BITS] = (counts[port >> GROUP_BITS] ?? 0) + 1;
  };
  for (const port of ports) count(port);
  for (const port of inner) if (port !== 0) count(port);
  const groups = new Map<number, Buffer>();
  counts.forEach((entries, group) => {
    if (entries > 0) groups.set(group, Buffer.allocUnsafe(entries * ENTRY_BYTES));
  });
  const at = new Uint32Array(1 << GROUP_BITS);
  const add = (port: number, place: number) => {
    const group = port >> GROUP_BITS;
    const to = at[group] ?? 0;
    groups.get(group)?.writeUIntBE(((port & 0xff) << 16) | place, to, ENTRY_BYTES);
    at[group] = to + ENTRY_BYTES;
  };
  for (let place = 0; place < ports.length; place++) {
    add(ports[place] ?? 0, place);
    if (inner[place]) add(inner[place] ?? 0, place);
  }
  return groups;
}

/** Places of a port in one group's entries. */
export function placesOf(entries: Buffer, port: number): number[] {
  const places: number[] = [];
  const low = port & 0xff;
  for (let at = 0; at < entries.length; at += ENTRY_BYTES)
    if (entries[at] === low) places.push(entries.readUInt16BE(at + 1));
  return places;
}

/** Looks into one day file. Rows behind the last segment are few; they are read once and kept. */
export class CallerPorts {
  readonly #database: Database;
  #tailFrom = 0;
  #tailTo = 0;
  #tail = new Map<number, number[]>();

  constructor(database: Database) {
    this.#database = database;
  }

  /** Ids of flows whose caller used the port and whose end may lie between the times, newest first, at most MOST_FOUND. */
  find(port: number, fromUs: number, toUs: number): number[] {
    this.#readTail();
    const found = (this.#tail.get(port) ?? []).slice(-MOST_FOUND).reverse();
    const rows = this.#database
      .prepare(
        `SELECT s.first_id, p.entries FROM segments s JOIN caller_ports p ON p.port_group = ? AND p.segment = s.last_id
         WHERE s.last_us >= ? AND s.first_us <= ? ORDER BY s.last_id DESC`,
      )
      .raw()
      .iterate(port >> GROUP_BITS, fromUs, toUs) as IterableIterator<[number, Buffer]>;
    for (const [first, entries] of rows) {
      for (const place of placesOf(entries, port).reverse()) found.push(first + place);
      if (found.length >= MOST_FOUND) break;
    }
    return found.slice(0, MOST_FOUND);
  }

  #readTail(): void {
    const last = this.#database.prepare('SELECT max(last_id) FROM segments').pluck().get() as number | null;
    const from = (last ?? 0) + 1;
    if (from !== this.#tailFrom) {
      this.#tail = new Map();
      this.#tailFrom = from;
      this.#tailTo = from - 1;
    }
    const rows = this.#database
      .prepare(
        `SELECT f.id, ${CALLER_PORT}, ${INNER_PORT} FROM flows f LEFT JOIN translations t ON t.id = f.id WHERE f.id > ? ORDER BY f.id`,
      )
      .raw()
      .all(this.#tailTo) as [number, number, number | null][];
    for (const [id, port, inner] of rows) {
      this.#addToTail(port, id);
      if (inner !== null) this.#addToTail(inner, id);
      this.#tailTo = id;
    }
  }

  #addToTail(port: number, id: number): void {
    const ids = this.#tail.get(port);
    if (ids) ids.push(id);
    else this.#tail.set(port, [id]);
  }
}
