// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import type { Containerd } from './containerd.js';
import { until } from './run.js';

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
}

export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerSpec[];
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Pod {
  readonly spec: PodSpec;
  readonly id: string;
  readonly addresses: readonly string[];
  readonly #containerd: Containerd;
  readonly #containers: ReadonlyMap<string, string>;
  readonly #config: object;
  #removed = false;

  private constructor(
    containerd: Containerd,
    spec: PodSpec,
    id: string,
    addresses: readonly string[],
    containers: ReadonlyMap<string, string>,
    config: object,
  ) {
    this.#config = config;
    this.#containerd = containerd;
    this.spec = spec;
    this.id = id;
    this.addresses = addresses;
    this.#containers = containers;
  }

  /** cgroupParent: of all pods, from the root of the hierarchy. */
  static async start(containerd: Containerd, spec: PodSpec, cgroupParent: string): Promise<Pod> {
    const { cri } = containerd;
    const uid = randomUUID();
    const config = {
      metadata: { name: spec.name, uid, namespace: spec.namespace, attempt: 0 },
      hostname: spec.name,
      labels: spec.labels ?? {},
      linux: { cgroup_parent: `${cgroupParent}/besteffort/pod${uid}` },
    };
    const { pod_sandbox_id: id } = await cri.call<{ pod_sandbox_id: string }>('RunPodSandbox', { config });
    const { status } = await cri.call<{ status: { network: { ip: string; additional_ips: { ip: string }[] } } }>(
      'PodSandboxStatus',
      { pod_sandbox_id: id },
    );
    const containers = new Map<string, string>();
    for (const it of spec.containers) {
      const request = {
        pod_sandbox_id: id,
        config: { metadata: { name: it.name, attempt: 0 }, image: { image: it.image }, command: it.command },
        sandbox_config: config,
      };
      const { container_id: container } = await cri.call<{ container_id: string }>('CreateContainer', request);
      await cri.call('StartContainer', { container_id: container });
      containers.set(it.name, container);
    }
    return new Pod(
      containerd,
      spec,
      id,
      [status.network.ip, ...status.network.additional_ips.map((it) => it.ip)],
      containers,
      config,
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
    );
    return { code: answer.exit_code, stdout: answer.stdout.toString(), stderr: answer.stderr.toString() };
  }

  /** A container that runs to its end and is removed at once, with no trace left in the runtime; or kept, as a kubelet does. */
  async runToEnd(spec: ContainerSpec, after: 'remove' | 'keep' = 'remove'): Promise<void> {
    const EXITED = 2;
    const { cri } = this.#containerd;
    const { container_id } = await cri.call<{ container_id: string }>('CreateContainer', {
      pod_sandbox_id: this.id,
      config: { metadata: { name: spec.name, attempt: 0 }, image: { image: spec.image }, command: spec.command },
      sandbox_config: this.#config,
    });
    await cri.call('StartContainer', { container_id });
    await until(
      `${spec.name} ends`,
      async () => {
        const { containers } = await cri.call<{ containers: { id: string; state: unknown }[] }>('ListContainers', {});
        return containers.find((it) => it.id === container_id)?.state === EXITED;
      },
      60_000,
      10,
    );
    if (after === 'remove') await cri.call('RemoveContainer', { container_id });
  }

  async remove(): Promise<void> {
    if (this.#removed) return;
    this.#removed = true;
    await this.#containerd.cri.call('StopPodSandbox', { pod_sandbox_id: this.id });
    await this.#containerd.cri.call('RemovePodSandbox', { pod_sandbox_id: this.id });
  }
}
