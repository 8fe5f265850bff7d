// SPDX-License-Identifier: Apache-2.0
//
// A containerd of our own, with folders, socket, network namespace and cgroups of our own.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { joinCgroup } from './cgroups.js';
import { Cri } from './cri.js';
import type { NetworkNamespace } from './network.js';
import { onOwnMounts } from './own_mounts.js';
import { Background, run, tryRun, until } from './run.js';

const CNI_BINARIES = '/usr/lib/cni';

export const POD_NETWORK_V4 = '10.88.0.0/16';
export const POD_NETWORK_V6 = 'fd00:88::/64';

function cniConfig(bridge: string, data: string): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'lab',
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          dataDir: data,
          ranges: [[{ subnet: POD_NETWORK_V4 }], [{ subnet: POD_NETWORK_V6 }]],
          routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
        },
      },
    ],
  });
}

function overlayWorks(folder: string): boolean {
  const dirs = ['lower', 'upper', 'work', 'merged'].map((name) => join(folder, 'overlay-probe', name));
  for (const dir of dirs) mkdirSync(dir, { recursive: true });
  const [lower, upper, work, merged] = dirs as [string, string, string, string];
  const { code } = tryRun('mount', [
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
    merged,
  ]);
  if (code === 0) tryRun('umount', [merged]);
  rmSync(join(folder, 'overlay-probe'), { recursive: true, force: true });
  return code === 0;
}

/** restrict_oom_score_adj: without CAP_SYS_RESOURCE runc fails on the score that containerd asks for. */
function containerdConfig(folder: string, socket: string, snapshotter: string): string {
  return `
version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_BINARIES}"
    conf_dir = "${folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

/** Where else containerd may run: on mounts and in a network that are there already. */
export interface Surroundings {
  start(command: string, args: readonly string[], logFile: string): Background;
  /** As it sees it itself, and as it is seen from here. */
  readonly socket: { readonly inside: string; readonly outside: string };
  /** Of a CNI configuration. */
  readonly network: string;
}

function prepare(folder: string, socket: string, network: string): string {
  const config = join(folder, 'config.toml');
  mkdirSync(join(folder, 'cni'), { recursive: true });
  writeFileSync(join(folder, 'cni/10-lab.conflist'), network);
  writeFileSync(config, containerdConfig(folder, socket, overlayWorks(folder) ? 'overlayfs' : 'native'));
  return config;
}

export class Containerd {
  readonly socket: string;
  readonly cri: Cri;
  readonly #process: Background;

  private constructor(socket: string, process: Background) {
    this.#process = process;
    this.socket = socket;
    this.cri = new Cri(socket);
  }

  /** cgroup: where containerd and its shims run, so that nothing of them can be left behind. */
  static async start(folder: string, namespace: NetworkNamespace, cgroup: string): Promise<Containerd> {
    const socket = join(folder, 'containerd.sock');
    const config = prepare(folder, socket, cniConfig('cellwall0', join(folder, 'cni-data')));
    const root = join(folder, 'machine');
    mkdirSync(root);
    const process = new Background(
      'nsenter',
      namespace.enter(onOwnMounts(root, 'exec containerd --config "$0"', [config])),
      join(folder, 'containerd.log'),
    );
    joinCgroup(cgroup, process.pid);
    return Containerd.#whenItAnswers(new Containerd(socket, process));
  }

  static startIn(folder: string, { start, socket, network }: Surroundings): Promise<Containerd> {
    const config = prepare(folder, socket.inside, network);
    const process = start('containerd', ['--config', config], join(folder, 'containerd.log'));
    return Containerd.#whenItAnswers(new Containerd(socket.outside, process));
  }

  static async #whenItAnswers(containerd: Containerd): Promise<Containerd> {
    const process = containerd.#process;
    await until(
      'containerd answers',
      async () => {
        if (!process.running) throw new Error(readFileSync(process.logFile, 'utf8').split('\n').slice(-5).join('\n'));
        return existsSync(containerd.socket) && (await containerd.cri.call('Version', {}));
      },
      30_000,
    );
    return containerd;
  }

  importImage(archive: string): void {
    run('ctr', ['--address', this.socket, '--namespace', 'k8s.io', 'images', 'import', archive]);
  }

  /** Another name for an image that is there. */
  tagImage(image: string, name: string): void {
    run('ctr', ['--address', this.socket, '--namespace', 'k8s.io', 'images', 'tag', image, name]);
  }

  async stop(): Promise<void> {
    this.cri.close();
    await this.#process.stop();
  }
}
