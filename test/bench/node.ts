// SPDX-License-Identifier: Apache-2.0
//
// A node without a container runtime: cgroups that look like Docker's, the real agent and the real server.
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ServerProcess, startAgent } from '../harness/cellwall.js';
import { CgroupTree } from '../harness/cgroups.js';
import type { Cleanup } from '../harness/cleanup.js';
import { mountPins } from '../harness/place.js';
import { Background, until } from '../harness/run.js';

const CONNECTOR = 'build/workloads/connector';

export class BenchNode {
  readonly #folder: string;
  readonly #tree: CgroupTree;
  readonly server: ServerProcess;
  readonly agent: Background;

  private constructor(folder: string, tree: CgroupTree, server: ServerProcess, agent: Background) {
    this.#folder = folder;
    this.#tree = tree;
    this.server = server;
    this.agent = agent;
  }

  static async start(folder: string, cleanup: Cleanup): Promise<BenchNode> {
    const tree = new CgroupTree(`cellwall-lab-${process.pid}`);
    cleanup.add('cgroups', () => tree.remove());
    const pins = mountPins(folder, cleanup);
    const server = await ServerProcess.start(join(folder, 'data'), join(folder, 'server.log'));
    cleanup.add('the server', () => server.process.stop());
    const agent = startAgent({
      cgroup: tree.path,
      pins,
      server: server.grpc,
      criSocket: '',
      state: join(folder, 'state'),
      node: 'bench',
      log: join(folder, 'agent.log'),
    });
    cleanup.add('the agent', () => agent.stop());
    const node = new BenchNode(folder, tree, server, agent);
    await until('the agent is connected', async () => (await node.status()).nodes.connected === 1);
    return node;
  }

  status(): Promise<{ nodes: { connected: number }; flows: { stored: number }; lost: Record<string, number> }> {
    return this.server.get('/v1/status');
  }

  makeContainer(): string {
    return this.#tree.make(`docker/${randomBytes(32).toString('hex')}`);
  }

  /** Runs the connector in a container to its end; returns how many connections it made. */
  async connect(container: string, ...args: string[]): Promise<number> {
    const log = join(this.#folder, 'connector.log');
    rmSync(log, { force: true });
    const command = `echo $$ > ${container}/cgroup.procs && exec ${CONNECTOR} ${args.join(' ')}`;
    const done = new Background('sh', ['-c', command], log);
    await done.exited;
    const tally = JSON.parse(readFileSync(done.logFile, 'utf8').trim().split('\n').at(-1) ?? '{}') as Record<
      string,
      number
    >;
    return Object.values(tally).reduce((sum, count) => sum + count, 0);
  }
}
