// SPDX-License-Identifier: Apache-2.0
//
// All of a small node: cgroups, a network namespace, containerd with pods, the agent on the host, the server beside it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT, type AgentOptions, ServerProcess, startAgent } from './cellwall.js';
import type { CgroupTree } from './cgroups.js';
import { Cleanup } from './cleanup.js';
import { Containerd } from './containerd.js';
import { Engine } from './engines.js';
import { attacksImage, CACHE, databaseImage, pauseImage, toolsImage, webImage } from './images.js';
import { NetworkNamespace } from './network.js';
import { clearPlaces, makePlace } from './place.js';
import { Pod, type PodSpec } from './pods.js';
import { buildImage } from './rootfs.js';
import { type Background, tryRun, until } from './run.js';

export class Lab {
  readonly cleanup = new Cleanup();
  readonly folder: string;
  readonly cgroups: CgroupTree;
  readonly namespace: NetworkNamespace;
  /** Attach point of the agent: all pods are below it. */
  readonly kubepods: string;
  readonly pins: string;
  #containerd: Containerd | undefined;
  readonly #engines: { docker?: Engine; podman?: Engine } = {};
  #server: ServerProcess | undefined;
  #agent: Background | undefined;

  private constructor() {
    const { name, folder, cgroups, pins } = makePlace(this.cleanup);
    this.folder = folder;
    this.cgroups = cgroups;
    this.pins = pins;
    this.kubepods = this.cgroups.make('kubepods');
    this.namespace = new NetworkNamespace(name);
    this.cleanup.add('the network namespace', () => this.namespace.remove());
  }

  static async create(): Promise<Lab> {
    await clearPlaces();
    return new Lab();
  }

  get agent(): Background {
    if (!this.#agent) throw new Error('no agent was started');
    return this.#agent;
  }

  get server(): ServerProcess {
    if (!this.#server) throw new Error('no server was started');
    return this.#server;
  }

  async startContainerd(images: 'usual' | 'attacks' = 'usual'): Promise<void> {
    const recipes = images === 'usual' ? [webImage(), databaseImage()] : [attacksImage()];
    const archives = [pauseImage(), ...recipes].map((recipe) => buildImage(recipe, CACHE));
    const containerd = await Containerd.start(
      join(this.folder, 'containerd'),
      this.namespace,
      this.cgroups.make('runtime'),
    );
    this.#containerd = containerd;
    this.cleanup.add('containerd', () => containerd.stop());
    for (const archive of archives) containerd.importImage(archive);
  }

  /** Another name for an image: as a release has one. */
  tagImage(image: string, name: string): void {
    if (!this.#containerd) throw new Error('start containerd first');
    this.#containerd.tagImage(image, name);
  }

  /** parent: the cgroup that stands for the node, see startSecondAgent. */
  async startPod(spec: PodSpec, parent = 'kubepods'): Promise<Pod> {
    if (!this.#containerd) throw new Error('start containerd first');
    const pod = await Pod.start(this.#containerd, spec, `/${this.cgroups.name}/${parent}`);
    this.cleanup.add(`pod ${spec.name}`, () => pod.remove());
    return pod;
  }

  /** Docker or Podman, with the image of the test programs. */
  async startEngine(kind: 'docker' | 'podman'): Promise<Engine> {
    const engine = await Engine[kind]({
      folder: join(this.folder, kind),
      namespace: this.namespace,
      home: this.cgroups.make('runtime'),
      parent: `/${this.cgroups.name}/kubepods`,
    });
    this.#engines[kind] = engine;
    this.cleanup.add(kind, () => engine.stop());
    engine.call('load', '--input', buildImage(toolsImage(), CACHE));
    return engine;
  }

  /** Again on the same addresses when it was started before. */
  async startServer(extra: readonly string[] = []): Promise<ServerProcess> {
    const before = this.#server;
    const addresses = before ? { grpc: before.grpc, http: new URL(before.http).host } : {};
    this.#server = await ServerProcess.start(join(this.folder, 'data'), join(this.folder, 'server.log'), {
      ...addresses,
      extra,
    });
    if (!before) this.cleanup.add('the server', () => this.#server?.process.stop());
    return this.#server;
  }

  agentOptions(extra: readonly string[] = []): AgentOptions {
    return {
      cgroup: this.kubepods,
      pins: this.pins,
      server: this.server.grpc,
      criSocket: this.#containerd ? `unix://${this.#containerd.socket}` : '',
      dockerSocket: this.#engines.docker?.socket ?? '',
      podmanSocket: this.#engines.podman?.socket ?? '',
      state: join(this.folder, 'state'),
      node: 'node-1',
      networkNamespace: this.namespace.path,
      log: join(this.folder, 'agent.log'),
      extra,
    };
  }

  /** Returns when it is connected. */
  async startAgent(extra: readonly string[] = []): Promise<Background> {
    const first = this.#agent === undefined;
    this.#agent = startAgent(this.agentOptions(['--open-interval', '1', ...extra]));
    if (first) this.cleanup.add('the agent', () => this.#agent?.stop());
    const agent = this.#agent;
    await until('the agent is connected', async () => {
      if (!agent.running) throw new Error(readFileSync(agent.logFile, 'utf8').split('\n').slice(-3).join('\n'));
      const { nodes } = await this.server.get<{ nodes: { connected: boolean }[] }>('/v1/nodes');
      return nodes[0]?.connected;
    });
    return agent;
  }

  /** Another node: an agent of its own for the pods below a cgroup of their own. Their network is that of the first. */
  async startSecondAgent(parent: string): Promise<Background> {
    const agent = startAgent({
      ...this.agentOptions(['--open-interval', '1']),
      cgroup: this.cgroups.make(parent),
      pins: `${this.pins}-2`,
      state: join(this.folder, 'state-2'),
      node: 'node-2',
      log: join(this.folder, 'agent-2.log'),
    });
    this.cleanup.add('the second agent', async () => {
      await agent.stop();
      tryRun(AGENT, ['uninstall', '--pin-directory', `${this.pins}-2`]);
    });
    await until('the second agent is connected', async () => {
      if (!agent.running) throw new Error(readFileSync(agent.logFile, 'utf8').split('\n').slice(-3).join('\n'));
      const { nodes } = await this.server.get<{ nodes: { connected: boolean }[] }>('/v1/nodes');
      return nodes.length === 2 && nodes.every(({ connected }) => connected);
    });
    return agent;
  }

  /** Until the nodes enforce what the server wants. */
  async policyApplied(): Promise<void> {
    await until('the policy is in force', async () => {
      const { nodes } = await this.server.get<{ nodes: { generation: { wanted: number; applied: number } }[] }>(
        '/v1/nodes',
      );
      return nodes.every(({ generation }) => generation.applied === generation.wanted);
    });
  }

  /** Writes policies, and waits until they are in force. */
  async applyPolicy(text: string): Promise<void> {
    await this.server.put('/v1/policies', text);
    await this.policyApplied();
  }

  /**
   * Until what is stored and counted lost has not moved for a while. Batches wait 250 ms at most; what the kernel lost is told
   * with the open flows, so agents of tests report these each second.
   */
  async settled(): Promise<void> {
    const QUIET_MS = 2500;
    let last = '';
    let since = Date.now();
    await until(
      'the store has all flows',
      async () => {
        const { flows, lost, nodes } = await this.server.get<{
          flows: unknown;
          lost: unknown;
          nodes: { connected: number };
        }>('/v1/status');
        const now = JSON.stringify([flows, lost]);
        if (now !== last || nodes.connected === 0) since = Date.now();
        last = now;
        return Date.now() - since > QUIET_MS;
      },
      120_000,
      100,
    );
  }
}
