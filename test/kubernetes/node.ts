// SPDX-License-Identifier: Apache-2.0
//
// What runs on a node: containerd, kubelet, kube-proxy.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Containerd } from '../harness/containerd.js';
import type { Background } from '../harness/run.js';
import { BINARIES, POD_NETWORK } from './control_plane.js';
import type { Credentials } from './credentials.js';
import { type Machine, NODE, NODE_ADDRESS } from './machine.js';
import { DOMAIN, NAMES_ADDRESS } from './names.js';

const SOCKET = '/run/containerd/containerd.sock';

/** Each pod at the end of a link of its own, so that what goes from pod to pod is routed, and services are translated. */
const network = (data: string): string =>
  JSON.stringify({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'ptp',
        ipam: {
          type: 'host-local',
          dataDir: data,
          ranges: [[{ subnet: POD_NETWORK.replace('/16', '/24') }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
    ],
  });

/** Cgroup v1 is refused by default; where controllers are, is the machine's choice. */
function kubeletConfig(machine: Machine, resolvConf: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: NODE_ADDRESS,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: machine.cgroup,
    cgroupsPerQOS: true,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${SOCKET}`,
    clusterDNS: [NAMES_ADDRESS],
    clusterDomain: DOMAIN,
    resolvConf,
    // The disk is not this machine's alone.
    evictionHard: { 'memory.available': '1Mi' },
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    maxOpenFiles: 1024,
    maxPods: 50,
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '5s',
    shutdownGracePeriod: '0s',
  };
}

const proxyConfig = (kubeconfig: string): object => ({
  apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
  kind: 'KubeProxyConfiguration',
  clientConnection: { kubeconfig },
  clusterCIDR: POD_NETWORK,
  hostnameOverride: NODE,
  mode: 'nftables',
  // Limits of connection tracking are the kernel's, and so not this node's alone.
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
});

export class Node {
  readonly containerd: Containerd;
  readonly kubelet: Background;

  private constructor(containerd: Containerd, kubelet: Background) {
    this.containerd = containerd;
    this.kubelet = kubelet;
  }

  static async start(
    machine: Machine,
    credentials: Credentials,
    logs: string,
    images: readonly string[],
  ): Promise<Node> {
    const folder = join(machine.folder, 'containerd');
    mkdirSync(folder);
    const containerd = await Containerd.startIn(folder, {
      start: machine.start,
      socket: { inside: SOCKET, outside: machine.path(SOCKET) },
      network: network(join(folder, 'cni-data')),
    });
    for (const archive of images) containerd.importImage(archive);
    const write = (name: string, content: string) => {
      const file = join(machine.folder, name);
      writeFileSync(file, content);
      return file;
    };
    const resolvConf = write('resolv.conf', `nameserver ${NODE_ADDRESS}\n`);
    const kubelet = machine.start(
      join(BINARIES, 'kubelet'),
      [
        ...['--config', write('kubelet.json', JSON.stringify(kubeletConfig(machine, resolvConf)))],
        ...['--kubeconfig', credentials.kubeconfig('kubelet'), '--hostname-override', NODE, '--node-ip', NODE_ADDRESS],
      ],
      join(logs, 'kubelet.log'),
    );
    const proxy = write('kube-proxy.json', JSON.stringify(proxyConfig(credentials.kubeconfig('kube-proxy'))));
    machine.start(join(BINARIES, 'kube-proxy'), ['--config', proxy], join(logs, 'kube-proxy.log'));
    return new Node(containerd, kubelet);
  }
}
