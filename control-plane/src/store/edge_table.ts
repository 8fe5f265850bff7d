// SPDX-License-Identifier: Apache-2.0
//
// Edges of several files put together.
import { CellwallError } from '../errors.js';

/** Different ones of one question: some 300 MiB. With more it is refused. */
const MOST_EDGES = 400_000;

export type EdgeRow = Record<
  | 'container'
  | 'kind'
  | 'peer_high'
  | 'peer_low'
  | 'port'
  | 'backend_high'
  | 'backend_low'
  | 'backend_port'
  | 'outside_high'
  | 'outside_low'
  | 'rule'
  | 'name'
  | 'flows'
  | 'sent'
  | 'received'
  | 'first_us'
  | 'last_us',
  bigint
>;

const KEY_COLUMNS = [
  'container',
  'kind',
  'peer_high',
  'peer_low',
  'port',
  'backend_high',
  'backend_low',
  'backend_port',
  'outside_high',
  'outside_low',
  'rule',
  'name',
] as const;
export const KEYS = KEY_COLUMNS.join(', ');

export class EdgeTable {
  readonly #sums = new Map<string, EdgeRow>();
  readonly #containers: ReadonlySet<bigint> | undefined;

  /** containers: others are left out. */
  constructor(containers: ReadonlySet<bigint> | undefined) {
    this.#containers = containers;
  }

  get rows(): EdgeRow[] {
    return [...this.#sums.values()];
  }

  add(row: EdgeRow): void {
    if (this.#containers && !this.#containers.has(row.container)) return;
    const key = KEY_COLUMNS.map((column) => row[column]).join(' ');
    const known = this.#sums.get(key);
    if (!known) {
      if (this.#sums.size >= MOST_EDGES)
        throw new CellwallError(
          'too_expensive',
          `these are more than ${MOST_EDGES.toLocaleString('en')} different connections; ask for less: a shorter time (--since, --until), or a namespace`,
        );
      this.#sums.set(key, row);
      return;
    }
    known.flows += row.flows;
    known.sent += row.sent;
    known.received += row.received;
    if (row.first_us < known.first_us) known.first_us = row.first_us;
    if (row.last_us > known.last_us) known.last_us = row.last_us;
  }
}
