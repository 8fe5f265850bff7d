// SPDX-License-Identifier: Apache-2.0
//
// etcd and the API server, and what works with them.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../harness/root.js';
import { type Background, until } from '../harness/run.js';
import { type Credentials, SERVICE_NETWORK } from './credentials.js';
import { type Machine, NODE_ADDRESS } from './machine.js';

export const BINARIES = join(ROOT, 'build/kubernetes/bin');
export const POD_NETWORK = '10.90.0.0/16';
const ETCD = 'http://127.0.0.1:2379';
/** On a machine that is busy with something else. */
const START_MS = 180_000;

/** The last lines of what a process said, for an error. */
export const lastLines = (process: Background, count = 5): string =>
  readFileSync(process.logFile, 'utf8').trimEnd().split('\n').slice(-count).join('\n');

export class ControlPlane {
  readonly #machine: Machine;
  readonly #credentials: Credentials;
  readonly #logs: string;
  #api: Background | undefined;

  constructor(machine: Machine, credentials: Credentials, logs: string) {
    this.#machine = machine;
    this.#credentials = credentials;
    this.#logs = logs;
  }

  async start(): Promise<void> {
    const data = join(this.#machine.folder, 'etcd');
    mkdirSync(data);
    // What is lost with this machine needs no syncs.
    this.#launch('etcd', [
      ...['--data-dir', data, '--unsafe-no-fsync', '--log-level', 'warn'],
      ...['--listen-client-urls', ETCD, '--advertise-client-urls', ETCD],
      ...['--listen-peer-urls', 'http://127.0.0.1:2380', '--initial-advertise-peer-urls', 'http://127.0.0.1:2380'],
      ...['--initial-cluster', 'default=http://127.0.0.1:2380'],
    ]);
    await this.startApi();
    const { authority, accountsKey } = this.#credentials;
    this.#launch('kube-controller-manager', [
      ...this.#as('kube-controller-manager'),
      ...['--service-account-private-key-file', accountsKey, '--root-ca-file', authority],
      ...['--use-service-account-credentials', '--allocate-node-cidrs', '--cluster-cidr', POD_NETWORK],
    ]);
    this.#launch('kube-scheduler', this.#as('kube-scheduler'));
  }

  /** Returns when it is ready. */
  async startApi(): Promise<void> {
    const { api: tls, accountsKey, accountsPublicKey, tokens } = this.#credentials;
    const api = this.#launch('kube-apiserver', [
      ...['--etcd-servers', ETCD, '--advertise-address', NODE_ADDRESS, '--secure-port', '6443'],
      ...['--service-cluster-ip-range', SERVICE_NETWORK, '--allow-privileged', '--authorization-mode', 'Node,RBAC'],
      ...['--tls-cert-file', tls.certificate, '--tls-private-key-file', tls.key, '--token-auth-file', tokens],
      ...['--service-account-issuer', 'https://kubernetes.default.svc.cluster.local'],
      ...['--service-account-key-file', accountsPublicKey, '--service-account-signing-key-file', accountsKey],
      ...['--kubelet-preferred-address-types', 'InternalIP', '--cert-dir', join(this.#machine.folder, 'api')],
    ]);
    this.#api = api;
    await until(
      'the API server is ready',
      () => {
        if (!api.running) throw new Error(lastLines(api));
        return this.kubectl('get', '--raw', '/readyz').code === 0;
      },
      START_MS,
      1000,
    );
  }

  async stopApi(): Promise<void> {
    await this.#api?.stop('SIGKILL');
  }

  kubectl(...args: string[]): { code: number; stdout: string; stderr: string } {
    return this.#machine.attempt(join(BINARIES, 'kubectl'), args, {
      KUBECONFIG: this.#credentials.kubeconfig('admin'),
    });
  }

  #as(user: 'kube-controller-manager' | 'kube-scheduler'): string[] {
    const kubeconfig = this.#credentials.kubeconfig(user);
    return [
      ...['--kubeconfig', kubeconfig, '--authentication-kubeconfig', kubeconfig],
      ...['--authorization-kubeconfig', kubeconfig, '--leader-elect=false'],
    ];
  }

  #launch(name: string, args: readonly string[]): Background {
    return this.#machine.start(join(BINARIES, name), args, join(this.#logs, `${name}.log`));
  }
}
