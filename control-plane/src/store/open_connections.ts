// SPDX-License-Identifier: Apache-2.0
//
// Connections that are open now and who listens, in state.db: what each node has reported last.
import type { Database } from 'better-sqlite3';
import type { DecodedFlows, DecodedListener } from '../ingest/decode.js';
import { pushRow, pushTranslation } from './day_file.js';

interface ListenerRow {
  readonly id: bigint;
  readonly container: bigint;
  readonly protocol: bigint;
  readonly high: bigint;
  readonly low: bigint;
  readonly port: bigint;
  readonly process: bigint;
}

type ListenerIdentity = Record<'protocol' | 'high' | 'low' | 'port' | 'process', number | bigint>;

function listenerKey(container: number, it: ListenerIdentity): string {
  return [container, it.protocol, it.high, it.low, it.port, it.process].join(' ');
}

export class OpenConnections {
  readonly #database: Database;
  readonly #stringId: (text: string) => number;
  readonly #cookies = new Map<string, Set<number>>();

  constructor(database: Database, stringId: (text: string) => number) {
    this.#database = database;
    this.#stringId = stringId;
    this.reload();
  }

  /** After a transaction was rolled back. */
  reload(): void {
    this.#cookies.clear();
    const open = this.#database.prepare('SELECT node, cookie FROM open_flows').all() as {
      node: string;
      cookie: number;
    }[];
    for (const { node, cookie } of open) this.#cookiesOf(node).add(cookie);
  }

  #cookiesOf(node: string): Set<number> {
    const cookies = this.#cookies.get(node) ?? new Set();
    this.#cookies.set(node, cookies);
    return cookies;
  }

  /** Replaces what the node had open. */
  replace(node: string, flows: DecodedFlows, containers: readonly number[], strings: readonly number[]): void {
    this.#remove(node);
    const insert = this.#database.prepare(
      `INSERT INTO open_flows (node, cookie, container, end_us, duration, kind, local_high, local_low, local_port, remote_high, remote_low,
        remote_port, sent, received, sent_packets, received_packets, rtt, retransmits, rule, generation, process, process_name, name,
        server_name) VALUES (${Array(24).fill('?').join(',')})`,
    );
    const translate = this.#database.prepare('INSERT INTO translations VALUES (?, ?, ?, ?, ?, ?, ?)');
    const translations = new Map(flows.translations.map((it) => [it.row, it]));
    const cookies = new Set<number>();
    for (let i = 0; i < flows.rows; i++) {
      const values: unknown[] = [node, flows.cookies[i]];
      pushRow(values, { containers, strings }, flows, i);
      const { lastInsertRowid } = insert.run(values);
      const translation = translations.get(i);
      if (translation) {
        const ends: unknown[] = [];
        pushTranslation(ends, Number(lastInsertRowid), translation, flows);
        translate.run(ends);
      }
      cookies.add(flows.cookies[i] as number);
    }
    this.#cookies.set(node, cookies);
  }

  #remove(node: string): void {
    this.#database.prepare('DELETE FROM translations WHERE id IN (SELECT id FROM open_flows WHERE node = ?)').run(node);
    this.#database.prepare('DELETE FROM open_flows WHERE node = ?').run(node);
  }

  /** Flows which have ended are not open any more. */
  ended(node: string, flows: DecodedFlows, skip: number): void {
    const cookies = this.#cookies.get(node);
    if (!cookies || cookies.size === 0) return;
    const remove = this.#database.prepare('DELETE FROM open_flows WHERE node = ? AND cookie = ? RETURNING id').pluck();
    const removeTranslation = this.#database.prepare('DELETE FROM translations WHERE id = ?');
    for (let i = skip; i < flows.rows; i++) {
      const cookie = flows.cookies[i] as number;
      if (cookies.delete(cookie)) for (const id of remove.all(node, cookie)) removeTranslation.run(id);
    }
  }

  /** Who listens on a node now; what is not reported any more has stopped. container: its id. */
  setListeners(
    node: string,
    listeners: readonly { readonly container: number; readonly listener: DecodedListener }[],
    timeUs: number,
  ): void {
    const known = this.#database
      .prepare(
        `SELECT l.* FROM listeners l JOIN containers c ON c.id = l.container JOIN nodes n ON n.id = c.node
         WHERE n.name = ? AND l.gone_us IS NULL`,
      )
      .safeIntegers()
      .all(node) as ListenerRow[];
    const left = new Map(known.map((row) => [listenerKey(Number(row.container), row), row.id]));
    const seen = new Set<string>();
    const add = this.#database.prepare(
      `INSERT INTO listeners (container, protocol, high, low, port, process, process_name, first_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    for (const { container, listener } of listeners) {
      const { address, protocol, port, processId } = listener;
      const key = listenerKey(container, { protocol, ...address, port, process: processId });
      // Several sockets of one process can listen on one port.
      if (seen.has(key)) continue;
      seen.add(key);
      if (left.delete(key)) continue;
      add.run(
        container,
        protocol,
        address.high,
        address.low,
        port,
        processId,
        this.#stringId(listener.processName),
        timeUs,
      );
    }
    const gone = this.#database.prepare('UPDATE listeners SET gone_us = ? WHERE id = ?');
    for (const id of left.values()) gone.run(timeUs, id);
  }

  /** Nothing outlives a boot of its node. */
  endBoot(node: string, nowUs: number): void {
    this.#remove(node);
    this.#cookies.delete(node);
    this.setListeners(node, [], nowUs);
  }
}
