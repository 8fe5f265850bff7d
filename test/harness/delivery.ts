// SPDX-License-Identifier: Apache-2.0
//
// The agent's delivery without a kernel: synthetic events in a ring that outlives whoever reads it, through the real spool and
// the real stream, to a real server.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { ServerProcess } from './cellwall.js';
import { Cleanup } from './cleanup.js';
import { ROOT } from './root.js';
import { Background, until } from './run.js';

const DRIVER = join(ROOT, 'build/agent/cellwall-delivery-driver');

export interface Made {
  readonly made: number;
  readonly denied: number;
  /** Lost in the kernel, as it counts them. */
  readonly ringFull: number;
}

interface Status {
  readonly flows: { readonly stored: number };
  readonly lost: Readonly<Record<string, number>>;
}

/** What the store has, read from its files. */
export interface Rows {
  readonly rows: number;
  /** By the numbers of the events, which only rows of one event have. */
  readonly distinct: number;
  readonly flows: number;
  readonly denied: number;
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

export class DeliveryLab {
  readonly cleanup = new Cleanup();
  readonly folder: string;
  /** On the disk of the machine: the store is what is tried with its writes. */
  readonly #data = mkdtempSync(join(ROOT, 'build/chaos-'));
  #server: ServerProcess | undefined;
  #driver: Background | undefined;
  #ring = 1;
  #made = 0;
  #denied = 0;

  constructor() {
    // In memory, as the kernel's ring.
    this.folder = mkdtempSync('/dev/shm/cellwall-chaos-');
    this.cleanup.add('the folder', () => rmSync(this.folder, { recursive: true, force: true }));
    this.cleanup.add('the data', () => {
      for (const folder of [this.#data, `${this.#data}.config`]) rmSync(folder, { recursive: true, force: true });
    });
    this.cleanup.add('the server', () => this.#server?.process.stop());
    this.cleanup.add('the driver', () => this.#driver?.stop('SIGKILL'));
  }

  get server(): ServerProcess {
    if (!this.#server) throw new Error('no server was started');
    return this.#server;
  }

  get driver(): Background {
    if (!this.#driver) throw new Error('no driver was started');
    return this.#driver;
  }

  get made(): number {
    return this.#made;
  }

  get denied(): number {
    return this.#denied;
  }

  /** Again on the same addresses when it was started before. */
  async startServer(): Promise<void> {
    const before = this.#server;
    const addresses = before ? { grpc: before.grpc, http: new URL(before.http).host } : {};
    this.#server = await ServerProcess.start(this.#data, join(this.folder, 'server.log'), addresses);
  }

  startDriver(extra: readonly string[] = [], server = this.server.grpc): void {
    const args = ['deliver', '--ring', this.#ringFile(), '--server', server, '--state', join(this.folder, 'state')];
    const log = join(this.folder, 'driver.log');
    this.#driver = new Background(DRIVER, [...args, '--epoch', `driver.${this.#ring}`, ...extra], log);
  }

  /** As after a boot of the machine: another ring, whose events have indexes of their own. */
  nextBoot(): void {
    rmSync(this.#ringFile(), { force: true });
    this.#ring++;
  }

  #ringFile(): string {
    return join(this.folder, `ring-${this.#ring}`);
  }

  get spool(): string {
    return join(this.folder, 'state/spool');
  }

  /** Returns when they are in the ring, or were lost there. */
  async produce(events: number, extra: readonly string[] = []): Promise<Made> {
    const first = String(this.#made + 1);
    this.#made += events;
    const args = ['produce', '--ring', this.#ringFile(), '--events', String(events), '--first', first, ...extra];
    const producer = new Background(DRIVER, args, join(this.folder, 'producer.log'));
    this.cleanup.add('the producer', () => producer.stop('SIGKILL'));
    let said = '';
    producer.child.stdout?.on('data', (data: Buffer) => {
      said += data;
    });
    const code = await producer.exited;
    if (code !== 0) throw new Error(`the producer failed, see ${producer.logFile}`);
    await until('what the producer has said', () => said.includes('}'));
    const made = JSON.parse(said) as Made;
    this.#denied += made.denied;
    return made;
  }

  async counted(): Promise<{ stored: number; lost: number; reasons: Readonly<Record<string, number>> }> {
    const { flows, lost } = await this.server.get<Status>('/v1/status');
    return { stored: flows.stored, lost: sum(lost), reasons: lost };
  }

  /** Until all events are stored or counted lost, or nothing has moved for a while; what there is then. */
  async settled(timeoutMs = 120_000): Promise<{ stored: number; lost: number; reasons: Record<string, number> }> {
    const QUIET_MS = 20_000;
    const end = Date.now() + timeoutMs;
    let since = Date.now();
    let last = -1;
    for (;;) {
      const now = await this.counted();
      const all = now.stored + now.lost;
      if (all !== last) since = Date.now();
      last = all;
      if (all >= this.#made || Date.now() - since > QUIET_MS || Date.now() > end) return now;
      await sleep(200);
    }
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const { nodes } = await this.server.get<{ nodes: { name: string; counters: Record<string, number> }[] }>(
      '/v1/nodes',
    );
    return nodes[0]?.counters ?? {};
  }

  /** After the server was stopped. */
  rows(): Rows {
    const days = readdirSync(this.#data).filter((name) => /^flows-.*\.db$/.test(name));
    const each = days.map((name) => {
      const database = new Database(join(this.#data, name), { readonly: true });
      try {
        return database
          .prepare(
            `SELECT count(*) AS rows, count(DISTINCT CASE WHEN m.count IS NULL THEN f.sent END) + count(m.count) AS "distinct",
              coalesce(sum(coalesce(m.count, 1)), 0) AS flows,
              coalesce(sum(CASE WHEN (f.kind >> 10) & 3 = 2 THEN coalesce(m.count, 1) END), 0) AS denied
             FROM flows f LEFT JOIN counts m ON m.id = f.id`,
          )
          .get() as Rows;
      } finally {
        database.close();
      }
    });
    const total = (name: keyof Rows) => each.reduce((all, it) => all + it[name], 0);
    return { rows: total('rows'), distinct: total('distinct'), flows: total('flows'), denied: total('denied') };
  }

  /** Lets the server run for a part of the time only, until the function that it returns is called. */
  slowServer(runMs: number, stopMs: number): () => void {
    const { pid } = this.server.process;
    let over = false;
    const loop = async () => {
      while (!over) {
        process.kill(pid, 'SIGSTOP');
        await sleep(stopMs);
        process.kill(pid, 'SIGCONT');
        await sleep(runMs);
      }
    };
    loop().catch(() => {});
    return () => {
      over = true;
    };
  }
}
