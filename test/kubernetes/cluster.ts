// SPDX-License-Identifier: Apache-2.0
//
// A cluster of one node, of the real parts, and what is done with it from outside.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from '../harness/cleanup.js';
import type { ExecResult } from '../harness/pods.js';
import { ROOT } from '../harness/root.js';
import { run, until } from '../harness/run.js';
import { BINARIES, ControlPlane, lastLines } from './control_plane.js';
import { Credentials } from './credentials.js';
import { Machine, NODE } from './machine.js';
import { nameServer } from './names.js';
import { Node } from './node.js';

/** On a machine that is busy with something else. */
export const PATIENCE_MS = 240_000;
const LOGS = join(ROOT, 'build/kubernetes/logs');

export interface PodObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly labels: Record<string, string> };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { type: string; status: string }[];
    readonly containerStatuses?: readonly { name: string; containerID?: string; ready: boolean }[];
  };
}

export const isReady = ({ status }: PodObject): boolean =>
  status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;

export class Cluster {
  readonly machine: Machine;
  readonly #credentials: Credentials;
  readonly control: ControlPlane;
  readonly #node: Node;
  /** A file with the authority of Cellwall's server, where that is not its own. */
  authority: string | undefined;

  private constructor(machine: Machine, credentials: Credentials, control: ControlPlane, node: Node) {
    this.machine = machine;
    this.#credentials = credentials;
    this.control = control;
    this.#node = node;
  }

  get cleanup(): Cleanup {
    return this.machine.cleanup;
  }

  /** images: archives for the node. Logs of all parts are kept, until the next run. */
  static async start(images: readonly string[]): Promise<Cluster> {
    run('rm', ['-rf', LOGS]);
    mkdirSync(LOGS, { recursive: true });
    const machine = await Machine.start();
    try {
      const credentials = new Credentials(join(machine.folder, 'credentials'));
      const control = new ControlPlane(machine, credentials, LOGS);
      await control.start();
      const node = await Node.start(machine, credentials, LOGS, images);
      const cluster = new Cluster(machine, credentials, control, node);
      cluster.apply(nameServer());
      await cluster.#ready();
      return cluster;
    } catch (error) {
      await machine.cleanup.run();
      throw error;
    }
  }

  async #ready(): Promise<void> {
    const { kubelet } = this.#node;
    const ready = () => {
      if (!kubelet.running) throw new Error(lastLines(kubelet));
      const nodes = this.get<{ items: PodObject[] }>('nodes').items;
      return nodes.some(isReady) && this.pods('kube-system').some(isReady);
    };
    await until('the node and its name server are ready', ready, PATIENCE_MS, 1000);
  }

  /** Throws with what it said. Nothing takes longer than LONGEST_MS of the harness. */
  #tool(name: 'kubectl' | 'helm', args: readonly string[]): string {
    const { code, stdout, stderr } = this.machine.attempt(join(BINARIES, name), args, this.#env());
    if (code !== 0) throw new Error(`${name} ${args.join(' ')} (${code}): ${stderr.trim()}`);
    return stdout;
  }

  kubectl(...args: string[]): string {
    return this.#tool('kubectl', args);
  }

  /** What takes its time. */
  kubectlMeanwhile(...args: string[]): Promise<string> {
    return this.machine.meanwhile(join(BINARIES, 'kubectl'), args, this.#env(), PATIENCE_MS);
  }

  helm(...args: string[]): string {
    return this.#tool('helm', args);
  }

  get<T>(...args: string[]): T {
    return JSON.parse(this.kubectl('get', ...args, '-o', 'json')) as T;
  }

  apply(objects: readonly object[]): void {
    const file = join(this.machine.folder, 'objects.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    this.kubectl('apply', '-f', file);
  }

  pods(namespace: string, selector = ''): PodObject[] {
    return this.get<{ items: PodObject[] }>('pods', '-n', namespace, ...(selector ? ['-l', selector] : [])).items;
  }

  /** The plugin of kubectl, as people use it. */
  cellwall(...args: string[]): string {
    const { code, stdout, stderr } = this.machine.attempt(join(ROOT, 'deploy/kubectl-cellwall'), args, {
      ...this.#env(),
      KUBECTL: join(BINARIES, 'kubectl'),
      CELLWALL_COMMAND: join(ROOT, 'dist/control-plane/src/cli/main.js'),
      CELLWALL_SERVICE_ACCOUNT: 'cellwall/viewer',
      ...(this.authority ? { CELLWALL_CA: this.authority } : {}),
    });
    if (code !== 0) throw new Error(`kubectl cellwall ${args.join(' ')} (${code}): ${stderr.trim()}`);
    return stdout;
  }

  /** In the container, as the kubelet does it: the API server is not asked. */
  async exec(pod: PodObject, container: string, command: readonly string[], timeoutS = 120): Promise<ExecResult> {
    const { name } = pod.metadata;
    const id = pod.status.containerStatuses?.find((it) => it.name === container)?.containerID;
    if (!id) throw new Error(`pod ${name} has no container ${container}`);
    const answer = await this.#node.containerd.cri.call<{ stdout: Buffer; stderr: Buffer; exit_code: number }>(
      'ExecSync',
      { container_id: id.replace('containerd://', ''), cmd: command, timeout: timeoutS },
      (timeoutS + 10) * 1000,
    );
    return { code: answer.exit_code, stdout: answer.stdout.toString(), stderr: answer.stderr.toString() };
  }

  /** A volume for the server: without a provisioner of volumes, somebody makes them by hand. */
  makeVolume(storageClass: string): void {
    const path = '/var/lib/volumes/server';
    mkdirSync(this.machine.path(path), { recursive: true });
    const nodes = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [NODE] }] };
    this.apply([
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: { name: storageClass },
        provisioner: 'kubernetes.io/no-provisioner',
        volumeBindingMode: 'WaitForFirstConsumer',
      },
      {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name: 'server' },
        spec: {
          capacity: { storage: '10Gi' },
          accessModes: ['ReadWriteOnce'],
          storageClassName: storageClass,
          local: { path },
          nodeAffinity: { required: { nodeSelectorTerms: [nodes] } },
        },
      },
    ]);
  }

  #env(): NodeJS.ProcessEnv {
    // What helm and kubectl keep goes with the machine.
    return { HOME: this.machine.path('/root'), KUBECONFIG: this.#credentials.kubeconfig('admin') };
  }

  /** What each part said, and the pods, for whoever looks into a failure. */
  keepState(): void {
    const { stdout, stderr } = this.control.kubectl('get', 'pods,daemonsets,events', '-A', '-o', 'wide');
    writeFileSync(join(LOGS, 'state.txt'), stdout + stderr);
    for (const [name, selector] of [
      ['server', 'app.kubernetes.io/name=cellwall-server'],
      ['agent', 'app.kubernetes.io/name=cellwall-agent'],
    ] as const)
      writeFileSync(
        join(LOGS, `${name}.txt`),
        Object.values(
          this.control.kubectl('-n', 'cellwall', 'logs', '-l', selector, '--all-containers', '--tail=-1'),
        ).join('\n'),
      );
    writeFileSync(join(LOGS, 'init.log'), readFileSync(join(this.machine.folder, 'init.log')));
  }
}
