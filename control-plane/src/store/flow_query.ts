// SPDX-License-Identifier: Apache-2.0
//
// Filters to SQL. Column names as in migrations.ts; a flow is `f`, its translation is looked up where it is needed.
import type { ContainerPattern, Filter, FilterPart, Peer, Selector } from '../flows/filter.js';
import { DIRECTIONS, KIND, type KindPart } from '../flows/record.js';
import { prefixMask } from '../policy/network.js';
import { WORKLOAD, WORKLOAD_KIND } from './workload_functions.js';

export type Value = number | bigint | string;

export interface Conditions {
  readonly sql: string[];
  readonly values: Value[];
}

/** What a filter means, with names resolved. */
export interface CompiledFilter extends Conditions {
  /** Ids; undefined: every container. */
  readonly containers: readonly number[] | undefined;
}

/** What names stand for in the store. */
export interface Names {
  /** Ids of the containers for which the conditions on `c` and its node `n` hold. */
  containers(conditions: Conditions): number[];
  /** Texts of "high low port" or, where every port is meant, "high low", of where containers can be reached. */
  endpoints(containers: readonly number[]): string[];
  /** Ids of the texts that match a GLOB pattern. */
  texts(pattern: string): number[];
}

const LOW = (1n << 64n) - 1n;
const EGRESS = DIRECTIONS.indexOf('egress');
const kindIs = (part: KindPart) => `(f.kind >> ${KIND[part].shift}) & ${KIND[part].mask}`;
const IS_EGRESS = `${kindIs('direction')} = ${EGRESS}`;

/** GLOB gives other characters than * a meaning, too. */
const toGlob = (pattern: string): string => pattern.replace(/[[?]/g, '[$&]');

/** One half of an address lies between two; halves are stored signed, which keeps the order as long as the first bit is
 * the same at both ends: the prefix holds it, or all values match. */
function halfBetween(conditions: Conditions, column: string, first: bigint, last: bigint): void {
  if (first === 0n && last === LOW) return;
  conditions.sql.push(first === last ? `${column} = ?` : `${column} BETWEEN ? AND ?`);
  conditions.values.push(BigInt.asIntN(64, first));
  if (first !== last) conditions.values.push(BigInt.asIntN(64, last));
}

/** An address and port, in columns `NAME_high`, `NAME_low` and `NAME_port`. */
function endIs(name: string, peer: Peer): Conditions {
  const conditions: Conditions = { sql: [], values: [] };
  if (peer.port !== undefined) {
    conditions.sql.push(`${name}_port = ?`);
    conditions.values.push(peer.port);
  }
  if (peer.network) {
    const last = peer.network.address | (((1n << 128n) - 1n) ^ prefixMask(peer.network.prefix));
    halfBetween(conditions, `${name}_high`, peer.network.address >> 64n, last >> 64n);
    if (peer.network.prefix > 64) halfBetween(conditions, `${name}_low`, peer.network.address & LOW, last & LOW);
  }
  return conditions;
}

const all = ({ sql }: Conditions): string => (sql.length > 0 ? `(${sql.join(' AND ')})` : '1');

function either(...options: readonly Conditions[]): Conditions {
  return { sql: [`(${options.map(all).join(' OR ')})`], values: options.flatMap(({ values }) => values) };
}

function both(...parts: readonly Conditions[]): Conditions {
  return { sql: parts.flatMap(({ sql }) => sql), values: parts.flatMap(({ values }) => values) };
}

const only = (sql: string, ...values: Value[]): Conditions => ({ sql: [sql], values });

function translated(end: 'source' | 'destination', peer: Peer): Conditions {
  const { sql, values } = endIs(`t.${end}`, peer);
  return only(`EXISTS (SELECT 1 FROM translations t WHERE ${['t.id = f.id', ...sql].join(' AND ')})`, ...values);
}

/** An end of flows that the container began, and the other end of those that it accepted. */
function endOf(egress: 'local' | 'remote', peer: Peer): Conditions {
  const ingress = egress === 'local' ? 'remote' : 'local';
  return either(
    both(only(IS_EGRESS), endIs(`f.${egress}`, peer)),
    both(only(`NOT (${IS_EGRESS})`), endIs(`f.${ingress}`, peer)),
    translated(egress === 'local' ? 'source' : 'destination', peer),
  );
}

/** The + keeps SQLite from the index, which has another order. */
const amongContainers = (ids: readonly number[]): Conditions =>
  only('+f.container IN (SELECT value FROM json_each(?))', JSON.stringify(ids));

export function containerConditions(
  part: Pick<FilterPart, 'container' | 'namespace' | 'workload' | 'pod' | 'node'>,
): Conditions {
  const conditions: Conditions = { sql: [], values: [] };
  const add = (column: string, wanted: string | undefined) => {
    if (wanted === undefined) return;
    const pattern = wanted.includes('*');
    conditions.sql.push(pattern ? `${column} GLOB ?` : `${column} = ?`);
    conditions.values.push(pattern ? toGlob(wanted) : wanted);
  };
  const { container, workload } = part;
  add('c.name', container?.name);
  add('c.pod', container?.pod);
  add('c.namespace', container?.namespace);
  add('c.pod', part.pod);
  add('c.namespace', part.namespace);
  if (workload?.kind === 'Pod') add('c.pod', workload.name);
  else {
    add(WORKLOAD, workload?.name);
    add(WORKLOAD_KIND, workload?.kind);
  }
  add('n.name', part.node);
  if (container?.cgroupId !== undefined) {
    conditions.sql.push('c.cgroup = ?');
    conditions.values.push(BigInt(container.cgroupId));
  }
  return conditions;
}

class PartCompiler {
  readonly #names: Names;
  readonly #conditions: Conditions[] = [];
  #containers: number[] | undefined;

  constructor(names: Names) {
    this.#names = names;
  }

  compile(part: FilterPart): CompiledFilter {
    const chosen = containerConditions(part);
    if (chosen.sql.length > 0) this.#restrict(this.#names.containers(chosen));
    this.#addKinds(part);
    this.#addTimesAndEnds(part);
    if (part.from) this.#addFrom(part.from);
    if (part.to) this.#addTo(part.to);
    return { ...both(...this.#conditions), containers: this.#containers };
  }

  #restrict(ids: readonly number[]): void {
    const before = this.#containers && new Set(this.#containers);
    this.#containers = before ? ids.filter((id) => before.has(id)) : [...ids];
  }

  #addKinds(part: FilterPart): void {
    for (const name of ['verdict', 'direction', 'protocol', 'end', 'failure'] as const) {
      const wanted = part[name];
      if (wanted !== undefined) this.#conditions.push(only(`${kindIs(name)} = ?`, wanted));
    }
    if (part.payloads) this.#conditions.push(only(`${kindIs('payload')} IN (${part.payloads.join(',')})`));
  }

  #addTimesAndEnds({ sinceUs, untilUs, peer, port, service, name }: FilterPart): void {
    if (sinceUs !== undefined) this.#conditions.push(only('f.end_us >= ?', sinceUs));
    if (untilUs !== undefined) this.#conditions.push(only('f.end_us <= ?', untilUs));
    if (peer)
      this.#conditions.push(either(endIs('f.remote', peer), both(only(IS_EGRESS), translated('destination', peer))));
    if (port !== undefined)
      this.#conditions.push(only(`CASE WHEN ${IS_EGRESS} THEN f.remote_port ELSE f.local_port END = ?`, port));
    if (service)
      this.#conditions.push(
        either(
          both(only(IS_EGRESS), endIs('f.remote', service)),
          both(only(`NOT (${IS_EGRESS})`), translated('destination', service)),
        ),
      );
    if (name !== undefined) {
      const texts = JSON.stringify(this.#names.texts(toGlob(name)));
      const among = (column: string) => only(`${column} IN (SELECT value FROM json_each(?))`, texts);
      this.#conditions.push(either(among('f.name'), among('f.server_name')));
    }
  }

  #idsOf(container: ContainerPattern): number[] {
    return this.#names.containers(containerConditions({ container }));
  }

  /** What a container began is on record at the container itself; its pod's address would stand for its neighbours too. */
  #addFrom(from: Selector): void {
    if ('address' in from) {
      this.#conditions.push(endOf('local', from.address));
      return;
    }
    this.#restrict(this.#idsOf(from.container));
    this.#conditions.push(only(IS_EGRESS));
  }

  #addTo(to: Selector): void {
    if ('address' in to) {
      this.#conditions.push(endOf('remote', to.address));
      return;
    }
    const ids = this.#idsOf(to.container);
    const endpoints = JSON.stringify(this.#names.endpoints(ids));
    const reaches = (end: string) =>
      `(${end}_high || ' ' || ${end}_low || ' ' || ${end}_port IN (SELECT value FROM json_each(?)) OR ${end}_high || ' ' || ${end}_low IN (SELECT value FROM json_each(?)))`;
    this.#conditions.push(
      either(
        both(only(`NOT (${IS_EGRESS})`), amongContainers(ids)),
        only(`${IS_EGRESS} AND ${reaches('f.remote')}`, endpoints, endpoints),
        only(
          `${IS_EGRESS} AND EXISTS (SELECT 1 FROM translations t WHERE t.id = f.id AND ${reaches('t.destination')})`,
          endpoints,
          endpoints,
        ),
      ),
    );
  }
}

export function compileFilter(filter: Filter, names: Names): CompiledFilter {
  const wanted = new PartCompiler(names).compile(filter);
  const parts: Conditions[] = [wanted];
  for (const part of filter.not) {
    const { containers, ...conditions } = new PartCompiler(names).compile(part);
    const unwanted = containers ? both(amongContainers(containers), conditions) : conditions;
    parts.push(only(`NOT coalesce(${all(unwanted)}, 0)`, ...unwanted.values));
  }
  return { ...both(...parts), containers: wanted.containers };
}

/** All conditions, with the containers as one of them. */
export function withContainers({ sql, values, containers }: CompiledFilter): Conditions {
  return containers ? both({ sql, values }, amongContainers(containers)) : { sql, values };
}

export const where = (conditions: readonly string[]): string =>
  conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : '';
