// SPDX-License-Identifier: Apache-2.0
//
// What others saw of the same connections: the node's connection tracking and a packet capture.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkNamespace } from './network.js';
import { Background, until } from './run.js';

/** One connection as connection tracking has it: how it was asked for, and how it is answered. */
export interface Tracked {
  readonly source: string;
  readonly destination: string;
  readonly outside: string;
  readonly backend: string;
}

const TUPLE = /src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g;

/** Of a line of `conntrack -E -e NEW -o extended`. */
function parseTracked(line: string): Tracked | undefined {
  const [original, reply] = [...line.matchAll(TUPLE)];
  if (!original || !reply) return undefined;
  return {
    source: `${original[1]}:${original[3]}`,
    destination: `${original[2]}:${original[4]}`,
    outside: `${reply[2]}:${reply[4]}`,
    backend: `${reply[1]}:${reply[3]}`,
  };
}

/** A recorder that runs beside a workload; what it wrote is complete when it has not grown for a while. */
class Recorder {
  readonly #process: Background;

  constructor(process: Background) {
    this.#process = process;
  }

  get logFile(): string {
    return this.#process.logFile;
  }

  async started(): Promise<void> {
    await until('the recorder writes', () => this.#process.running && existsSync(this.logFile));
    await sleep(500);
  }

  async finish(): Promise<string[]> {
    let size = -1;
    while (statSync(this.logFile).size !== size) {
      size = statSync(this.logFile).size;
      await sleep(500);
    }
    await this.#process.stop('SIGINT');
    return readFileSync(this.logFile, 'utf8').split('\n');
  }
}

export class ConntrackRecorder extends Recorder {
  constructor(namespace: NetworkNamespace, file: string) {
    const events = ['conntrack', '-E', '-e', 'NEW', '-p', 'tcp', '-b', String(64 << 20)];
    super(new Background('nsenter', namespace.enter(events), file));
  }

  async connections(): Promise<Tracked[]> {
    return (await this.finish()).flatMap((line) => parseTracked(line) ?? []);
  }
}

/** The first packet of each connection that arrives in a pod. */
export class PacketRecorder extends Recorder {
  constructor(command: readonly string[], file: string) {
    const [program = '', ...args] = command;
    super(new Background(program, args, file));
  }

  static capture(port: number): string[] {
    const first = `tcp dst port ${port} and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn`;
    return ['tcpdump', '-i', 'eth0', '-nn', '-l', '-B', '65536', first];
  }

  /** "address:port" of each caller. */
  async callers(): Promise<string[]> {
    return (await this.finish()).flatMap((line) => {
      const match = / IP (\d+\.\d+\.\d+\.\d+)\.(\d+) > /.exec(line);
      return match ? [`${match[1]}:${match[2]}`] : [];
    });
  }
}
