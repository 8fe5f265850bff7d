// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroup2Mount } from './cgroups.js';
import type { Containerd } from './containerd.js';
import { until } from './run.js';

/** Of CRI's ContainerState. */
const EXITED = 2;

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  /** Beyond the usual ones, without "CAP_". */
  readonly capabilities?: readonly string[];
  /** Of this machine, by path. */
  readonly devices?: readonly string[];
}

export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerSpec[];
  /** Addresses of name servers. */
  readonly nameServers?: readonly string[];
  /** Shares the node's network, and has no address of its own. */
  readonly hostNetwork?: boolean;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface SandboxConfig {
  readonly linux: { readonly security_context?: object };
}

interface Sandbox {
  readonly id: string;
  readonly config: SandboxConfig;
  /** From the root of the hierarchy. */
  readonly cgroup: string;
}

function containerConfig(spec: ContainerSpec, sandbox: SandboxConfig): object {
  const { name, image, command, capabilities = [], devices = [] } = spec;
  return {
    metadata: { name, attempt: 0 },
    image: { image },
    command,
    devices: devices.map((path) => ({ host_path: path, container_path: path, permissions: 'rwm' })),
    linux: {
      security_context: {
        ...sandbox.linux.security_context,
        ...(capabilities.length > 0 && { capabilities: { add_capabilities: capabilities } }),
      },
    },
  };
}

async function startContainer(
  { cri }: Containerd,
  sandbox: string,
  config: SandboxConfig,
  spec: ContainerSpec,
): Promise<string> {
  const request = {
    pod_sandbox_id: sandbox,
    config: containerConfig(spec, config),
    sandbox_config: config,
  };
  const { container_id: container } = await cri.call<{ container_id: string }>('CreateContainer', request);
  await cri.call('StartContainer', { container_id: container });
  return container;
}

export class Pod {
  readonly spec: PodSpec;
  readonly #sandbox: Sandbox;
  readonly addresses: readonly string[];
  readonly #containerd: Containerd;
  readonly #containers: Map<string, string>;
  #removed = false;

  private constructor(
    containerd: Containerd,
    spec: PodSpec,
    sandbox: Sandbox,
    addresses: readonly string[],
    containers: Map<string, string>,
  ) {
    this.#containerd = containerd;
    this.spec = spec;
    this.#sandbox = sandbox;
    this.addresses = addresses;
    this.#containers = containers;
  }

  /** cgroupParent: of all pods, from the root of the hierarchy. */
  static async start(containerd: Containerd, spec: PodSpec, cgroupParent: string): Promise<Pod> {
    const { cri } = containerd;
    const uid = randomUUID();
    const cgroup = `${cgroupParent}/besteffort/pod${uid}`;
    const config = {
      metadata: { name: spec.name, uid, namespace: spec.namespace, attempt: 0 },
      // In the node's network there is the node's name.
      hostname: spec.hostNetwork ? '' : spec.name,
      labels: spec.labels ?? {},
      ...(spec.nameServers && { dns_config: { servers: spec.nameServers } }),
      linux: {
        cgroup_parent: cgroup,
        ...(spec.hostNetwork && { security_context: { namespace_options: { network: 'NODE' } } }),
      },
    };
    const { pod_sandbox_id: id } = await cri.call<{ pod_sandbox_id: string }>('RunPodSandbox', { config });
    const { status } = await cri.call<{ status: { network: { ip: string; additional_ips: { ip: string }[] } } }>(
      'PodSandboxStatus',
      { pod_sandbox_id: id },
    );
    const containers = new Map<string, string>();
    for (const it of spec.containers) {
      containers.set(it.name, await startContainer(containerd, id, config, it));
    }
    return new Pod(
      containerd,
      spec,
      { id, config, cgroup },
      spec.hostNetwork ? [] : [status.network.ip, ...status.network.additional_ips.map((it) => it.ip)],
      containers,
    );
  }

  get v4(): string {
    return this.addresses.find((address) => !address.includes(':')) ?? '';
  }

  get v6(): string {
    return this.addresses.find((address) => address.includes(':')) ?? '';
  }

  /** Runs a command in a container, as `kubectl exec` does. */
  async exec(container: string, command: readonly string[], timeoutS = 120): Promise<ExecResult> {
    const request = { container_id: this.#containers.get(container), cmd: command, timeout: timeoutS };
    const answer = await this.#containerd.cri.call<{ stdout: Buffer; stderr: Buffer; exit_code: number }>(
      'ExecSync',
      request,
      (timeoutS + 10) * 1000,
    );
    return { code: answer.exit_code, stdout: answer.stdout.toString(), stderr: answer.stderr.toString() };
  }

  /** A container that runs to its end and is removed at once, with no trace left in the runtime; or kept, as a kubelet does. */
  async runToEnd(container: ContainerSpec, after: 'remove' | 'keep' = 'remove'): Promise<void> {
    const { cri } = this.#containerd;
    const id = await startContainer(this.#containerd, this.#sandbox.id, this.#sandbox.config, container);
    const ended = async () => {
      const { containers } = await cri.call<{ containers: { id: string; state: unknown }[] }>('ListContainers', {});
      return containers.find((it) => it.id === id)?.state === EXITED;
    };
    await until(`${container.name} ends`, ended, 60_000, 10);
    if (after === 'remove') await cri.call('RemoveContainer', { container_id: id });
  }

  /** A new container in the place of one that ended, as a kubelet does. */
  async restart(name: string): Promise<void> {
    const { cri } = this.#containerd;
    const spec = this.spec.containers.find((it) => it.name === name);
    const id = this.#containers.get(name);
    if (!spec || !id) throw new Error(`pod ${this.spec.name} has no container ${name}`);
    await cri.call('StopContainer', { container_id: id, timeout: 0 });
    await cri.call('RemoveContainer', { container_id: id });
    this.#containers.set(name, await startContainer(this.#containerd, this.#sandbox.id, this.#sandbox.config, spec));
  }

  /** Its directory in the hierarchy of cgroup v2. */
  cgroupOf(container: string): string {
    const id = this.#containers.get(container);
    if (!id) throw new Error(`pod ${this.spec.name} has no container ${container}`);
    return join(cgroup2Mount(), this.#sandbox.cgroup, id);
  }

  /** Its first process. */
  processOf(container: string): number {
    const [pid] = readFileSync(join(this.cgroupOf(container), 'cgroup.procs'), 'utf8').split('\n');
    if (!pid) throw new Error(`${this.spec.name}/${container} has no process`);
    return Number(pid);
  }

  /** Runs a command of this machine in the pod's network. */
  inNetwork(command: readonly string[]): string[] {
    return ['nsenter', `--net=/proc/${this.#process()}/ns/net`, '--', ...command];
  }

  /** Some process of the pod. */
  #process(): number {
    const root = join(cgroup2Mount(), this.#sandbox.cgroup);
    for (const container of readdirSync(root, { withFileTypes: true })) {
      if (!container.isDirectory()) continue;
      const [pid] = readFileSync(join(root, container.name, 'cgroup.procs'), 'utf8').split('\n');
      if (pid) return Number(pid);
    }
    throw new Error(`pod ${this.spec.name} has no process`);
  }

  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    await this.#containerd.cri.call('StopPodSandbox', { pod_sandbox_id: this.#sandbox.id });
    await this.#containerd.cri.call('RemovePodSandbox', { pod_sandbox_id: this.#sandbox.id });
  }
}
