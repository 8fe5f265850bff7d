// SPDX-License-Identifier: Apache-2.0
//
// Filters to SQL. Column names as in migrations.ts.
import type { Filter } from '../flows/filter.js';
import { KIND } from '../flows/record.js';
import { prefixMask } from '../policy/index.js';

export interface Conditions {
  readonly sql: string[];
  readonly values: (number | bigint | string)[];
}

const LOW = (1n << 64n) - 1n;

/** One half of an address lies between two; halves are stored signed, which keeps the order as long as the first bit is
 * the same at both ends: the prefix holds it, or all values match. */
function halfBetween(conditions: Conditions, column: string, first: bigint, last: bigint): void {
  if (first === 0n && last === LOW) return;
  conditions.sql.push(first === last ? `${column} = ?` : `${column} BETWEEN ? AND ?`);
  conditions.values.push(BigInt.asIntN(64, first));
  if (first !== last) conditions.values.push(BigInt.asIntN(64, last));
}

function addPeer(conditions: Conditions, network: { address: bigint; prefix: number }): void {
  const last = network.address | (((1n << 128n) - 1n) ^ prefixMask(network.prefix));
  halfBetween(conditions, 'f.remote_high', network.address >> 64n, last >> 64n);
  if (network.prefix > 64) halfBetween(conditions, 'f.remote_low', network.address & LOW, last & LOW);
}

export function flowConditions(filter: Filter): Conditions {
  const conditions: Conditions = { sql: [], values: [] };
  const add = (sql: string, ...values: (number | string)[]) => {
    conditions.sql.push(sql);
    conditions.values.push(...values);
  };
  for (const part of ['verdict', 'direction', 'protocol', 'end'] as const) {
    const wanted = filter[part];
    if (wanted !== undefined) add(`(f.kind >> ${KIND[part].shift}) & ${KIND[part].mask} = ?`, wanted);
  }
  if (filter.fromUs !== undefined) add('f.end_us >= ?', filter.fromUs);
  if (filter.toUs !== undefined) add('f.end_us <= ?', filter.toUs);
  if (filter.peer?.port !== undefined) add('f.remote_port = ?', filter.peer.port);
  if (filter.peer?.network) addPeer(conditions, filter.peer.network);
  return conditions;
}

/** undefined: every container. */
export function containerConditions(filter: Filter): Conditions | undefined {
  const conditions: Conditions = { sql: [], values: [] };
  const add = (column: string, value: string | undefined) => {
    if (value === undefined) return;
    conditions.sql.push(`${column} = ?`);
    conditions.values.push(value);
  };
  add('c.name', filter.container?.name);
  add('c.pod', filter.container?.pod ?? filter.pod);
  add('c.namespace', filter.container?.namespace ?? filter.namespace);
  add('n.name', filter.node);
  if (filter.container?.cgroupId !== undefined) {
    conditions.sql.push('c.cgroup = ?');
    conditions.values.push(BigInt(filter.container.cgroupId));
  }
  if (filter.container?.pod !== undefined && filter.pod !== undefined) add('c.pod', filter.pod);
  if (filter.container?.namespace !== undefined && filter.namespace !== undefined) add('c.namespace', filter.namespace);
  return conditions.sql.length > 0 ? conditions : undefined;
}

export const where = (conditions: readonly string[]): string =>
  conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
