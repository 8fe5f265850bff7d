// SPDX-License-Identifier: Apache-2.0
//
// Simulated agents (test/chaos/fleet.js) in processes of their own.
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { ServerProcess } from './cellwall.js';
import { ROOT } from './root.js';

export interface FleetReport {
  readonly connected: number;
  /** Streams that have ended since the start. */
  readonly closed: number;
  /** Rows. */
  readonly acknowledged: number;
  readonly heartbeats: number;
  /** How streams have ended. */
  readonly reasons: Readonly<Record<string, number>>;
  /** When agents had the rule sets of the generation, in ms since 1970. */
  readonly arrivals: readonly number[];
  /** Of the newest rule sets of an agent. */
  readonly payloadBytes: number;
  readonly differenceBytes: number;
}

class Process {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #next = 1;

  constructor(options: object) {
    this.child = fork(join(ROOT, 'test/chaos/fleet.js'), [JSON.stringify(options)], { execArgv: [] });
    this.ready = new Promise((resolve, reject) => {
      this.child.on('exit', (code) => reject(new Error(`simulated agents ended with ${code}`)));
      this.child.on('message', (message: { ready?: true; id: number; result: unknown }) => {
        if (message.ready) resolve();
        else this.#waiting.get(message.id)?.(message.result);
      });
    });
    this.ready.catch(() => {});
  }

  ask(command: string, value?: object): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, command, value });
    });
  }
}

const PROCESSES = 2;

export class Fleet {
  readonly agents: number;
  readonly #processes: readonly Process[];

  private constructor(agents: number, processes: readonly Process[]) {
    this.agents = agents;
    this.#processes = processes;
  }

  /** The server has to have an authority of its own (--tls own). */
  static async start(server: ServerProcess, agents: number, containers: number): Promise<Fleet> {
    const count = Math.ceil(agents / PROCESSES);
    const options = { address: server.grpc, authority: server.ca, containers };
    const processes = Array.from(
      { length: PROCESSES },
      (_, i) => new Process({ ...options, first: i * count, count: Math.min(count, agents - i * count) }),
    );
    await Promise.all(processes.map((it) => it.ready));
    return new Fleet(agents, processes);
  }

  #all(command: string, value?: object): Promise<unknown[]> {
    return Promise.all(this.#processes.map((it) => it.ask(command, value)));
  }

  /** Returns when each has its stream. */
  async connect(): Promise<void> {
    await this.#all('connect');
  }

  /** Each keeps so many batches of so many rows under way; null: no more. */
  async send(batches: { rows: number; window: number } | null): Promise<void> {
    await this.#all('send', batches ?? { rows: 0, window: 0 });
  }

  async report(generation = 0): Promise<FleetReport> {
    const reports = (await this.#all('report', { generation })) as FleetReport[];
    const sum = (name: 'connected' | 'closed' | 'acknowledged' | 'heartbeats') =>
      reports.reduce((total, it) => total + it[name], 0);
    const reasons: Record<string, number> = {};
    for (const report of reports)
      for (const [reason, count] of Object.entries(report.reasons)) reasons[reason] = (reasons[reason] ?? 0) + count;
    return {
      connected: sum('connected'),
      closed: sum('closed'),
      acknowledged: sum('acknowledged'),
      heartbeats: sum('heartbeats'),
      reasons,
      arrivals: reports.flatMap((it) => it.arrivals),
      payloadBytes: Math.max(...reports.map((it) => it.payloadBytes)),
      differenceBytes: Math.max(...reports.map((it) => it.differenceBytes)),
    };
  }

  stop(): void {
    for (const { child } of this.#processes) child.kill();
  }
}
