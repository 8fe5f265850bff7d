// SPDX-License-Identifier: Apache-2.0
//
// Server, agent, or both are killed again and again while flows come as fast as they can be stored.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { Random } from '../../control-plane/src/testing/random.js';
import { ServerProcess } from '../harness/cellwall.js';
import { ROOT } from '../harness/root.js';
import { Background, until } from '../harness/run.js';
import { mistakes, rowsOf } from './numbered_rows.js';

const KILLS = process.env.LONG ? 1000 : 8;
/** Kills on one folder, so that what is counted each time stays small. */
const PER_FOLDER = 25;
const LONGEST_START_MS = 5000;
/** A kill and a start take seconds on a busy machine. */
const LONGEST_MS = 60_000 + KILLS * 30_000;
const SEED = Number(process.env.SEED ?? 1);
const NODE = 'n';

interface Status {
  readonly store: {
    readonly lastStop: string;
    readonly integrity: { readonly checked: { file: string; result: string; problem: string }[] };
    readonly setAside: string[];
  };
}

interface Start {
  readonly ms: number;
  readonly cpuMs: number;
}

/** In user and kernel mode; proc(5) has ticks of 10 ms. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

const base = mkdtempSync(join(tmpdir(), 'cellwall-chaos-'));
const running = new Set<Background>();
afterAll(async () => {
  for (const one of running) await one.stop('SIGKILL');
  rmSync(base, { recursive: true, force: true });
});

/** A server on one folder and an agent of it, each of which can die. */
class Pair {
  readonly data: string;
  readonly #name: string;
  #server: ServerProcess | undefined;
  #agent: Background | undefined;
  #agents = 0;

  constructor(name: string) {
    this.#name = name;
    this.data = join(base, name, 'data');
    mkdirSync(join(base, name));
  }

  #file(name: string): string {
    return join(base, this.#name, name);
  }

  /** Returns after how long it listened, and how much of that it worked: others may want the machine, too. */
  async startServer(): Promise<Start> {
    const began = performance.now();
    const ports = this.#server ? { grpc: this.#server.grpc, http: new URL(this.#server.http).host } : {};
    this.#server = await ServerProcess.start(this.data, this.#file('server.log'), ports);
    running.add(this.#server.process);
    return { ms: performance.now() - began, cpuMs: cpuMsOf(this.#server.process.pid) };
  }

  startAgent(): void {
    const script = join(ROOT, 'test/chaos/agent.js');
    this.#agent = new Background(
      'node',
      [script, this.#server?.grpc ?? '', NODE],
      this.#file(`acks-${++this.#agents}`),
    );
    running.add(this.#agent);
  }

  async kill(who: 'server' | 'agent'): Promise<void> {
    const victim = who === 'server' ? this.#server?.process : this.#agent;
    await victim?.stop('SIGKILL');
    if (victim) running.delete(victim);
  }

  status(): Promise<Status> {
    if (!this.#server) throw new Error('the server was not started');
    return this.#server.get<Status>('/v1/status');
  }

  /** The most that any agent was told to be durable. */
  acknowledged(): number {
    const files = Array.from({ length: this.#agents }, (_, i) => this.#file(`acks-${i + 1}`));
    const logs = files.map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''));
    // The last line may be cut short.
    return Math.max(0, ...logs.flatMap((log) => log.split('\n').slice(0, -1).map(Number)));
  }
}

it(
  `loses nothing that was acknowledged when server, agent or both are killed ${KILLS} times`,
  async () => {
    const random = new Random(SEED);
    const starts: Start[] = [];
    let rows = 0;
    for (let killed = 0; killed < KILLS; ) {
      const pair = new Pair(String(killed));
      await pair.startServer();
      pair.startAgent();
      for (let i = 0; i < PER_FOLDER && killed < KILLS; i++, killed++) {
        const before = pair.acknowledged();
        await until('rows are acknowledged', () => pair.acknowledged() > before);
        await sleep(random.below(300));
        const victims = random.one([['server'], ['agent'], ['server', 'agent']] as const);
        await Promise.all(victims.map((who) => pair.kill(who)));
        if (victims.some((who) => who === 'server')) {
          starts.push(await pair.startServer());
          const { store } = await pair.status();
          expect(store).toMatchObject({ lastStop: 'crash', setAside: [] });
          expect(store.integrity.checked.filter((it) => it.result !== 'ok')).toEqual([]);
        }
        if (victims.some((who) => who === 'agent')) pair.startAgent();
      }
      await Promise.all([pair.kill('agent'), pair.kill('server')]);
      await sleep(100);
      const found = rowsOf(pair.data);
      expect(mistakes(NODE, found.get(NODE), pair.acknowledged())).toEqual([]);
      expect([...found.keys()]).toEqual([NODE]);
      rows += found.get(NODE)?.stored ?? 0;
      rmSync(join(base, String(killed - PER_FOLDER)), { recursive: true, force: true });
    }
    const sorted = (what: keyof Start) => starts.map((it) => it[what]).sort((a, b) => a - b);
    expect(sorted('cpuMs').at(-1)).toBeLessThan(LONGEST_START_MS);
    const [median, longest] = [sorted('ms')[starts.length >> 1], sorted('ms').at(-1)].map((it) => Math.round(it ?? 0));
    process.stdout.write(
      `${KILLS} kills, ${rows} rows; start-up ${median} ms (median), ${longest} ms (longest, ${sorted('cpuMs').at(-1)} ms of CPU)\n`,
    );
  },
  LONGEST_MS,
);
