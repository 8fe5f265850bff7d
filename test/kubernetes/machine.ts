// SPDX-License-Identifier: Apache-2.0
//
// The machine that is the cluster's node: processes, mounts, network and cgroups of its own, on this kernel. What a pod has of
// its node (/run, /sys/fs/bpf, /var/lib, process 1) is of this machine, never of the one that the test runs on.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cgroupMounts, joinCgroup } from '../harness/cgroups.js';
import { Cleanup } from '../harness/cleanup.js';
import { NetworkNamespace } from '../harness/network.js';
import { onOwnMounts } from '../harness/own_mounts.js';
import { clearPlaces, makePlace } from '../harness/place.js';
import { ROOT } from '../harness/root.js';
import { Background, tryRun, until } from '../harness/run.js';

export const NODE = 'node-1';
export const NODE_ADDRESS = '10.89.0.1';

/** Settings of the kernel that the kubelet changes: it gets files to write to, and the kernel keeps its own. */
const SYSCTLS = [
  ...['vm/overcommit_memory', 'vm/panic_on_oom', 'kernel/panic', 'kernel/panic_on_oops'],
  ...['kernel/keys/root_maxkeys', 'kernel/keys/root_maxbytes'],
];
/** Folders that start empty. */
const EMPTY = ['/run', '/var/lib', '/var/log'];

const childOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);

/** Signals go to the process of the machine, not to the nsenter that waits for it. */
class MachineProcess extends Background {
  protected override signal(signal: NodeJS.Signals): void {
    const child = childOf(this.pid);
    process.kill(child > 0 ? child : this.pid, signal);
  }
}

export class Machine {
  readonly cleanup = new Cleanup();
  readonly folder: string;
  /** From the root of the hierarchies; the kubelet makes its "kubepods" below. */
  readonly cgroup: string;
  /** Where the agent's programs are pinned, as this process sees it. */
  readonly pins: string;
  readonly #namespace: NetworkNamespace;
  readonly #home: string;
  #init = 0;

  private constructor() {
    const { name, folder, cgroups, pins } = makePlace(this.cleanup);
    this.folder = folder;
    this.pins = pins;
    this.cgroup = `/${name}`;
    // The kubelet wants its root in all hierarchies.
    for (const mount of cgroupMounts()) mkdirSync(join(mount, name), { recursive: true });
    this.#home = cgroups.make('runtime');
    this.#namespace = new NetworkNamespace(name);
    this.cleanup.add('the network namespace', () => this.#namespace.remove());
  }

  static async start(): Promise<Machine> {
    await clearPlaces();
    const machine = new Machine();
    try {
      machine.#makeNetwork();
      await machine.#startInit();
    } catch (error) {
      await machine.cleanup.run();
      throw error;
    }
    return machine;
  }

  #makeNetwork(): void {
    const ip = (...args: string[]) => this.#namespace.run('ip', args);
    // A bridge without ports: every kernel of a node has bridges, and what is sent there to anybody else arrives nowhere.
    ip('link', 'add', 'node0', 'type', 'bridge');
    ip('address', 'add', `${NODE_ADDRESS}/24`, 'dev', 'node0');
    ip('link', 'set', 'node0', 'up');
    ip('route', 'add', 'default', 'dev', 'node0');
    this.#namespace.run('sysctl', ['-q', 'net.ipv4.ip_forward=1']);
  }

  async #startInit(): Promise<void> {
    const root = join(this.folder, 'machine');
    mkdirSync(root);
    const binds = EMPTY.map((path) => [this.#made(path), path]);
    binds.push([join(this.folder, 'bpffs'), '/sys/fs/bpf']);
    for (const name of SYSCTLS) binds.push([this.#sysctl(name), `/proc/sys/${name}`]);
    const mounts = binds.map(([from, to]) => `mount --bind ${from} ${to}`).join(' && ');
    // Process 1 reaps what is left, and with it all others of the machine end. Mounts are shared: pods see what is mounted later.
    const script = `mount -t proc proc /proc && ${mounts} && mount --make-rshared / && exec "$0"`;
    const args = onOwnMounts(root, script, [join(ROOT, 'build/workloads/pause')], ['--pid', '--fork', '--kill-child']);
    const init = new Background('nsenter', this.#namespace.enter(args), join(this.folder, 'init.log'));
    this.cleanup.add('all processes of the machine', () => this.#end(init));
    this.#init = await until('the machine has a first process', () => {
      if (!init.running) throw new Error(readFileSync(init.logFile, 'utf8'));
      const pid = childOf(init.pid);
      return pid > 0 && readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'pause' ? pid : undefined;
    });
    joinCgroup(this.#home, this.#init);
  }

  async #end(init: Background): Promise<void> {
    if (this.#init > 0) tryRun('kill', ['-KILL', String(this.#init)]);
    await init.stop('SIGKILL');
  }

  /** A folder of the machine, as this process sees it. */
  path(path: string): string {
    return join(this.folder, 'node', path);
  }

  #made(path: string): string {
    const own = this.path(path);
    mkdirSync(own, { recursive: true });
    return own;
  }

  #sysctl(name: string): string {
    const file = join(this.#made('sysctl'), name.replaceAll('/', '.'));
    writeFileSync(file, readFileSync(`/proc/sys/${name}`));
    return file;
  }

  /** A process of the machine. Its cgroup is not among those of pods. */
  readonly start = (command: string, args: readonly string[], logFile: string): Background => {
    const join = `echo $$ >${this.#home}/cgroup.procs && exec "$@"`;
    const enter = ['nsenter', `--target=${this.#init}`, '--mount', '--pid', '--net', '--', command, ...args];
    return new MachineProcess('sh', ['-c', join, 'sh', ...enter], logFile);
  };

  /** A command of the test, in the network of the machine. */
  attempt(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    return tryRun('nsenter', this.#namespace.enter([command, ...args]), env);
  }

  /** As attempt, while this process goes on; throws with what the command said. */
  async meanwhile(
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    timeoutMs: number,
  ): Promise<string> {
    const options = { env: { ...process.env, ...env }, timeout: timeoutMs, killSignal: 'SIGKILL' } as const;
    const { stdout } = await promisify(execFile)('nsenter', this.#namespace.enter([command, ...args]), options);
    return stdout;
  }
}
