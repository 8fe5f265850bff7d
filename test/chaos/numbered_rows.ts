// SPDX-License-Identifier: Apache-2.0
//
// Are all rows there that were acknowledged, each once? Asked of the files themselves, since the server is what is tested.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';

export interface Rows {
  /** What the files say that the node has committed. */
  readonly committed: number;
  readonly stored: number;
  readonly distinct: number;
  readonly highest: number;
}

const DAY = /^flows-\d{4}-\d{2}-\d{2}\.db$/;

/** Rows of each node; see numbered_batches.js for what they tell. */
export function rowsOf(folder: string): Map<string, Rows> {
  const events = new Map<string, number[]>();
  const committed = new Map<string, number>();
  for (const name of readdirSync(folder).filter((it) => DAY.test(it))) {
    const day = new Sqlite(join(folder, name), { readonly: true });
    day.prepare('ATTACH ? AS state').run(join(folder, 'state.db'));
    const rows = day
      .prepare(
        `SELECT n.name AS node, f.sent - 1 AS event FROM flows f
         LEFT JOIN state.containers c ON c.id = f.container LEFT JOIN state.nodes n ON n.id = c.node`,
      )
      .raw()
      .iterate() as IterableIterator<[string | null, number]>;
    // A row whose names are gone is nobody's, and shows as a node of that name.
    for (const [node, event] of rows) {
      const list = events.get(node ?? 'nobody');
      if (list) list.push(event);
      else events.set(node ?? 'nobody', [event]);
    }
    const progress = day.prepare('SELECT node, event FROM progress').raw().all() as [string, number][];
    for (const [node, event] of progress) committed.set(node, Math.max(committed.get(node) ?? 0, event));
    day.close();
  }
  return new Map(
    [...events].map(([node, list]) => [
      node,
      {
        committed: committed.get(node) ?? 0,
        stored: list.length,
        distinct: new Set(list).size,
        highest: list.reduce((most, event) => Math.max(most, event), 0),
      },
    ]),
  );
}

/** What is wrong, when everything up to the last committed event has to be there once. */
export function mistakes(node: string, rows: Rows | undefined, acknowledged: number): string[] {
  const { committed, stored, distinct, highest } = rows ?? { committed: 0, stored: 0, distinct: 0, highest: 0 };
  return [
    ...(committed < acknowledged ? [`${node}: ${acknowledged} acknowledged, ${committed} committed`] : []),
    ...(distinct !== committed || highest !== committed ? [`${node}: ${committed} committed, ${distinct} there`] : []),
    ...(stored !== distinct ? [`${node}: ${stored - distinct} doubles`] : []),
  ];
}
