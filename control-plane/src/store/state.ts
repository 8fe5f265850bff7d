// SPDX-License-Identifier: Apache-2.0
//
// state.db: nodes, containers, and the names that flow rows refer to by number.
import { join } from 'node:path';
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';
import { AuditLog } from './audit_log.js';
import { ClusterRows, KNOWN_WORKLOAD } from './cluster_rows.js';
import { DAY_US } from './days.js';
import { forgetBefore } from './forgetting.js';
import { Identities } from './identities.js';
import { STATE_MIGRATIONS } from './migrations.js';
import { isCorrupt, openForWriting } from './open.js';
import { OpenConnections } from './open_connections.js';
import { Outages } from './outages.js';
import { Policies } from './policies.js';
import { Proposals } from './proposals.js';
import { Staged } from './staged.js';
import { Tokens } from './tokens.js';

export interface ContainerFacts {
  readonly cgroupId: number;
  readonly path: string;
  readonly runtime: string;
  readonly runtimeId: string;
  readonly name: string;
  readonly image: string;
  readonly namespace: string;
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly addresses: readonly string[];
  /** That the pod's specification names. */
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port: number }[];
  /** 0: unknown. */
  readonly createdUs: number;
}

export interface ClusterFacts {
  readonly nodes: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly containers: readonly (ContainerFacts & { readonly node: string })[];
}

const LIVE_CONTAINERS = `SELECT n.name AS node, c.cgroup AS cgroupId, c.path, c.runtime, c.runtime_id AS runtimeId, c.name, c.image,
    c.namespace, c.pod, c.labels, c.addresses, c.ports, c.first_us AS createdUs
  FROM containers c JOIN nodes n ON n.id = c.node WHERE c.gone_us IS NULL AND c.listed = 1`;
/** Lists are JSON. */
type FactsRow = Omit<ContainerFacts, 'labels' | 'addresses' | 'ports'> &
  Record<'node' | 'labels' | 'addresses' | 'ports', string>;

function toFacts(row: FactsRow): ContainerFacts & { node: string } {
  const { labels, addresses, ports, ...plain } = row;
  return { ...plain, labels: JSON.parse(labels), addresses: JSON.parse(addresses), ports: JSON.parse(ports) };
}

/** Processes choose their names, and containers come and go: at this many the cache begins anew. */
const MOST_CACHED_STRINGS = 65_536;
const MOST_CACHED_CONTAINERS = 262_144;

/** Cgroup ids are unique during a boot, which is the first part of an epoch. */
export function bootOf(epoch: string): string {
  return epoch.split('.')[0] ?? epoch;
}

/** In the order of the columns namespace, pod, name, image, runtime, runtime_id, path, labels, addresses, ports, and KNOWN_WORKLOAD. */
const namesOf = (it: ContainerFacts): string[] => [
  it.namespace,
  it.pod,
  it.name,
  it.image,
  it.runtime,
  it.runtimeId,
  it.path,
  JSON.stringify(it.labels),
  JSON.stringify(it.addresses),
  JSON.stringify(it.ports),
  `${it.namespace}/${it.pod}`,
];

export class State {
  readonly policies: Policies;
  readonly cluster: ClusterRows;
  readonly open: OpenConnections;
  readonly audit: AuditLog;
  readonly tokens: Tokens;
  readonly proposals: Proposals;
  readonly staged: Staged;
  readonly outages: Outages;
  readonly identities: Identities;
  readonly #database: Database;
  readonly #containers = new Map<string, number>();
  readonly #strings = new Map<string, number>();
  readonly #kernelLosses = new Map<string, number>();
  #day = Math.floor((Date.now() * 1000) / DAY_US);

  constructor(folder: string) {
    const file = join(folder, 'state.db');
    try {
      this.#database = openForWriting(file, STATE_MIGRATIONS);
    } catch (error) {
      if (error instanceof CellwallError) throw error;
      const advice = isCorrupt(error)
        ? '; it is damaged: restore a backup, or move it away to begin without policies'
        : '';
      throw new CellwallError('store_unavailable', `${file} cannot be opened: ${(error as Error).message}${advice}`);
    }
    this.policies = new Policies(this.#database);
    this.cluster = new ClusterRows(this.#database);
    this.outages = new Outages(this.#database);
    this.identities = new Identities(this.#database);
    this.open = new OpenConnections(this.#database, (text) => this.stringId(text));
    this.audit = new AuditLog(this.#database);
    this.tokens = new Tokens(this.#database);
    this.proposals = new Proposals(this.#database);
    this.staged = new Staged(this.#database);
  }

  #reload(): void {
    for (const cache of [this.#containers, this.#strings, this.#kernelLosses]) cache.clear();
    this.open.reload();
  }

  /** Before rows are written: each string is marked with every day on which it is. */
  onDay(nowUs: number): void {
    const day = Math.floor(nowUs / DAY_US);
    if (day === this.#day) return;
    this.#day = day;
    this.#reload();
  }

  /** A bounded piece of it; true: there is more. */
  forgetBefore(us: number): boolean {
    const more = this.transaction(() => forgetBefore(this.#database, us));
    this.#reload();
    return more;
  }

  /** Empties the write-ahead log, so that it is used again from its beginning and does not grow. */
  checkpoint(): void {
    this.#database.pragma('wal_checkpoint(PASSIVE)');
  }

  transaction<T>(work: () => T): T {
    try {
      return this.#database.transaction(work)();
    } catch (error) {
      // Numbers that were rolled back may be given to others.
      this.#reload();
      throw error;
    }
  }

  #nodeId(node: string, epoch: string, nowUs: number): number {
    const row = this.#database
      .prepare(
        `INSERT INTO nodes (name, epoch, hello, last_seen_us) VALUES (?, ?, '{}', ?)
         ON CONFLICT (name) DO UPDATE SET last_seen_us = excluded.last_seen_us RETURNING id`,
      )
      .get(node, epoch, nowUs) as { id: number };
    return row.id;
  }

  /** The number of a container in flow rows; a container that nobody told of yet gets one without a name. */
  containerId(node: string, epoch: string, cgroup: number, nowUs: number): number {
    const key = `${node}\0${bootOf(epoch)}\0${cgroup}`;
    const known = this.#containers.get(key);
    if (known !== undefined) return known;
    if (this.#containers.size >= MOST_CACHED_CONTAINERS) this.#containers.clear();
    const row = this.#database
      .prepare(
        `INSERT INTO containers (node, boot, cgroup, first_us, last_us) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (node, boot, cgroup) DO UPDATE SET last_us = excluded.last_us RETURNING id`,
      )
      .get(this.#nodeId(node, epoch, nowUs), bootOf(epoch), cgroup, nowUs, nowUs) as { id: number };
    this.#containers.set(key, row.id);
    return row.id;
  }

  stringId(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    if (this.#strings.size >= MOST_CACHED_STRINGS) this.#strings.clear();
    const row = this.#database
      .prepare(
        'INSERT INTO strings (text, day) VALUES (?, ?) ON CONFLICT (text) DO UPDATE SET day = max(day, excluded.day) RETURNING id',
      )
      .get(text, this.#day) as { id: number };
    this.#strings.set(text, row.id);
    return row.id;
  }

  hello(node: string, epoch: string, hello: string, nowUs: number): void {
    this.#nodeId(node, epoch, nowUs);
    const before = this.#database.prepare('SELECT epoch FROM nodes WHERE name = ?').get(node) as { epoch: string };
    if (bootOf(before.epoch) !== bootOf(epoch)) this.#endBoot(node, nowUs);
    this.#database
      .prepare('UPDATE nodes SET epoch = ?, hello = ?, last_seen_us = ? WHERE name = ?')
      .run(epoch, hello, nowUs, node);
  }

  /** Nothing outlives a boot of its node. */
  #endBoot(node: string, nowUs: number): void {
    this.open.endBoot(node, nowUs);
    this.#database
      .prepare(
        'UPDATE containers SET gone_us = ? WHERE gone_us IS NULL AND node = (SELECT id FROM nodes WHERE name = ?)',
      )
      .run(nowUs, node);
  }

  applied(node: string, generation: number, error: string, nowUs: number): void {
    this.#database
      .prepare('UPDATE nodes SET applied_generation = ?, applied_error = ?, last_seen_us = ? WHERE name = ?')
      .run(generation, error === '' ? null : error, nowUs, node);
  }

  statistics(node: string, counters: string, nowUs: number): void {
    this.#database.prepare('UPDATE nodes SET counters = ?, last_seen_us = ? WHERE name = ?').run(counters, nowUs, node);
  }

  updateContainers(
    node: string,
    epoch: string,
    facts: readonly ContainerFacts[],
    removed: readonly number[],
    complete: boolean,
    nowUs: number,
  ): void {
    if (complete) {
      this.#database
        .prepare('UPDATE containers SET gone_us = ? WHERE node = ? AND gone_us IS NULL AND listed = 1')
        .run(nowUs, this.#nodeId(node, epoch, nowUs));
    }
    const update = this.#database.prepare(
      `UPDATE containers SET namespace = ?, pod = ?, name = ?, image = ?, runtime = ?, runtime_id = ?, path = ?, labels = ?,
        addresses = ?, ports = ?, ${KNOWN_WORKLOAD}, first_us = min(first_us, ?), last_us = ?, gone_us = NULL, listed = 1 WHERE id = ?`,
    );
    for (const it of facts) {
      const id = this.containerId(node, epoch, it.cgroupId, nowUs);
      update.run(...namesOf(it), it.createdUs || nowUs, nowUs, id);
    }
    const gone = this.#database.prepare('UPDATE containers SET gone_us = ? WHERE id = ?');
    for (const cgroup of removed) gone.run(nowUs, this.containerId(node, epoch, cgroup, nowUs));
  }

  /** What an agent has kept of a container that may be gone by now: it does not come to life by it. */
  nameContainer(node: string, epoch: string, it: ContainerFacts, nowUs: number): void {
    const id = this.containerId(node, epoch, it.cgroupId, nowUs);
    // What a runtime has told stays.
    this.#database
      .prepare(
        `UPDATE containers SET namespace = ?, pod = ?, name = ?, image = ?, runtime = ?, runtime_id = ?, path = ?, labels = ?,
          addresses = ?, ports = ?, ${KNOWN_WORKLOAD}, first_us = min(first_us, ?), gone_us = coalesce(gone_us, ?), listed = 1
         WHERE id = ? AND (listed = 0 OR (gone_us IS NOT NULL AND image = '' AND pod = ''))`,
      )
      .run(...namesOf(it), it.createdUs || nowUs, nowUs, id);
  }

  /** The live containers of a node that its agent told of. */
  containers(node: string, epoch: string): ContainerFacts[] {
    const rows = this.#database
      .prepare(`${LIVE_CONTAINERS} AND n.name = ? AND c.boot = ?`)
      .all(node, bootOf(epoch)) as FactsRow[];
    return rows.map(toFacts).map(({ node: _, ...facts }) => facts);
  }

  /** All nodes and their live containers. */
  inventory(): ClusterFacts {
    const nodes = this.#database.prepare('SELECT name, hello FROM nodes ORDER BY name').all() as Record<
      string,
      string
    >[];
    return {
      nodes: nodes.map(({ name = '', hello = '{}' }) => ({ name, addresses: JSON.parse(hello).addresses ?? [] })),
      containers: (this.#database.prepare(`${LIVE_CONTAINERS} ORDER BY c.id`).all() as FactsRow[]).map(toFacts),
    };
  }

  committed(): { node: string; epoch: string; event: number }[] {
    return this.#database.prepare('SELECT node, epoch, event FROM committed').all() as {
      node: string;
      epoch: string;
      event: number;
    }[];
  }

  setCommitted(node: string, epoch: string, event: number): void {
    this.#database
      .prepare(
        'INSERT INTO committed (node, epoch, event) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET event = max(event, excluded.event)',
      )
      .run(node, epoch, event);
  }

  setKernelLoss(node: string, epoch: string, reason: number, total: number, nowUs: number): void {
    const key = `${node}\0${epoch}\0${reason}`;
    if (total <= (this.#kernelLosses.get(key) ?? 0)) return;
    this.#kernelLosses.set(key, total);
    this.#database
      .prepare(
        `INSERT INTO kernel_losses (node, epoch, reason, total, first_us, last_us) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET total = excluded.total, last_us = excluded.last_us WHERE excluded.total > total`,
      )
      .run(node, epoch, reason, total, nowUs, nowUs);
  }

  close(): void {
    this.#database.close();
  }
}
