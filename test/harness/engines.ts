// SPDX-License-Identifier: Apache-2.0
//
// Docker and Podman of our own: folders, sockets, network namespace and cgroups of the lab, nothing of this machine's.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { joinCgroup } from './cgroups.js';
import type { NetworkNamespace } from './network.js';
import { Background, tryRun, until } from './run.js';

export interface EngineOptions {
  readonly folder: string;
  readonly namespace: NetworkNamespace;
  /** Directory in which the engine and its helpers run. */
  readonly home: string;
  /** From the root of the hierarchy: below it are the containers. */
  readonly parent: string;
}

/** Without CAP_SYS_RESOURCE, runtimes fail on limits higher than ours. */
const LIMITS = ['nofile=1024:1024', 'nproc=1000:1000'];

export const missing = (program: string): string =>
  tryRun('sh', ['-c', `command -v ${program}`]).code === 0 ? '' : `${program} is not installed`;

/** What both have: a command line that is spoken to a socket. */
export class Engine {
  readonly socket: string;
  readonly #command: readonly string[];
  readonly #namespace: NetworkNamespace;
  readonly #service: Background;
  readonly #run: readonly string[];

  private constructor(
    socket: string,
    command: readonly string[],
    run: readonly string[],
    namespace: NetworkNamespace,
    service: Background,
  ) {
    this.socket = socket;
    this.#command = command;
    this.#run = run;
    this.#namespace = namespace;
    this.#service = service;
  }

  static async docker(options: EngineOptions): Promise<Engine> {
    const { folder, namespace, home, parent } = options;
    mkdirSync(folder, { recursive: true });
    const socket = join(folder, 'docker.sock');
    writeFileSync(join(folder, 'daemon.json'), '{}');
    const args = [
      ['--config-file', join(folder, 'daemon.json')],
      ['--data-root', join(folder, 'data')],
      ['--exec-root', join(folder, 'exec')],
      ['--pidfile', join(folder, 'pid')],
      ['--host', `unix://${socket}`],
      ['--cgroup-parent', `${parent}/docker`],
      ['--exec-opt', 'native.cgroupdriver=cgroupfs'],
      ['--bip', '10.87.0.1/24'],
      ['--iptables=false', '--ip6tables=false', '--ip-masq=false'],
      ['--default-ulimit', LIMITS[0] ?? ''],
    ].flat();
    // The daemon and the containerd that it starts write below /run; mounts of its own go with it.
    const service = new Background(
      'nsenter',
      namespace.enter(['unshare', '--mount', 'dockerd', ...args]),
      join(folder, 'log'),
    );
    joinCgroup(home, service.pid);
    return Engine.#answering(socket, ['docker', '--host', `unix://${socket}`], [], namespace, service);
  }

  static async podman(options: EngineOptions): Promise<Engine> {
    const { folder, namespace, home, parent } = options;
    mkdirSync(folder, { recursive: true });
    const socket = join(folder, 'podman.sock');
    const command = [
      ['podman', '--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--tmpdir', join(folder, 'tmp')],
      ['--cgroup-manager=cgroupfs', '--runtime=runc', '--events-backend=file'],
    ].flat();
    const service = new Background(
      'nsenter',
      namespace.enter([...command, 'system', 'service', '--time=0', `unix://${socket}`]),
      join(folder, 'log'),
    );
    joinCgroup(home, service.pid);
    const limits = LIMITS.flatMap((limit) => ['--ulimit', limit]);
    const run = ['--network=host', '--cgroup-parent', `${parent}/libpod_parent`, ...limits];
    return Engine.#answering(socket, command, run, namespace, service);
  }

  static async #answering(
    socket: string,
    command: readonly string[],
    run: readonly string[],
    namespace: NetworkNamespace,
    service: Background,
  ): Promise<Engine> {
    const engine = new Engine(socket, command, run, namespace, service);
    await until(
      `${command[0]} answers`,
      () => {
        if (!service.running) throw new Error(`it ended, see ${service.logFile}`);
        return existsSync(socket) && engine.call('ps') !== undefined;
      },
      30_000,
    );
    return engine;
  }

  call(...args: string[]): string {
    return this.#namespace.run(this.#command[0] ?? '', [...this.#command.slice(1), ...args]);
  }

  /** `run` with what this machine needs; returns what it prints. */
  run(...args: string[]): string {
    return this.call('run', ...this.#run, ...args).trim();
  }

  /** As run(), without waiting; ends with the container. */
  start(log: string, ...args: string[]): Background {
    return new Background('nsenter', this.#namespace.enter([...this.#command, 'run', ...this.#run, ...args]), log);
  }

  async stop(): Promise<void> {
    const ids = this.call('ps', '--all', '--quiet').split('\n').filter(Boolean);
    if (ids.length > 0) this.call('rm', '--force', ...ids);
    await this.#service.stop();
  }
}
