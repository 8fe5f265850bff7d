// SPDX-License-Identifier: Apache-2.0
//
// How the parts of the cluster know each other: one authority, a key for service accounts, a token for each user.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../../control-plane/src/testing/authority.js';
import { run } from '../harness/run.js';
import { NODE, NODE_ADDRESS } from './machine.js';

export const API = `https://${NODE_ADDRESS}:6443`;
export const SERVICE_NETWORK = '10.91.0.0/16';
/** The API server's own service: the first address of the network. */
const API_SERVICE = '10.91.0.1';

const USERS = {
  admin: { name: 'admin', group: 'system:masters' },
  'kube-controller-manager': { name: 'system:kube-controller-manager', group: '' },
  'kube-scheduler': { name: 'system:kube-scheduler', group: '' },
  'kube-proxy': { name: 'system:kube-proxy', group: '' },
  kubelet: { name: `system:node:${NODE}`, group: 'system:nodes' },
} as const;
export type User = keyof typeof USERS;

export class Credentials {
  readonly authority: string;
  readonly api: { readonly certificate: string; readonly key: string };
  readonly accountsKey: string;
  readonly accountsPublicKey: string;
  /** Of kube-apiserver's --token-auth-file. */
  readonly tokens: string;
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { mode: 0o700 });
    this.#folder = folder;
    const authority = new Authority(folder);
    this.authority = authority.certificate;
    const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((name) => `DNS:${name}`);
    const addresses = [NODE_ADDRESS, API_SERVICE, '127.0.0.1'].map((address) => `IP:${address}`);
    this.api = authority.issue('kube-apiserver', [...names, ...addresses]);
    this.accountsKey = join(folder, 'accounts.key');
    this.accountsPublicKey = join(folder, 'accounts.pem');
    this.tokens = join(folder, 'tokens.csv');
    run('openssl', ['genrsa', '-out', this.accountsKey, '2048']);
    run('openssl', ['rsa', '-in', this.accountsKey, '-pubout', '-out', this.accountsPublicKey]);
    this.#users();
  }

  #users(): void {
    const lines = Object.entries(USERS).map(([user, { name, group }]) => {
      const token = randomBytes(24).toString('hex');
      writeFileSync(this.kubeconfig(user as User), this.#kubeconfig(token), { mode: 0o600 });
      return `${token},${name},${name},"${group}"`;
    });
    writeFileSync(this.tokens, `${lines.join('\n')}\n`, { mode: 0o600 });
  }

  kubeconfig(user: User): string {
    return join(this.#folder, `${user}.kubeconfig`);
  }

  #kubeconfig(token: string): string {
    const one = 'cluster';
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: one, cluster: { server: API, 'certificate-authority': this.authority } }],
      users: [{ name: one, user: { token } }],
      contexts: [{ name: one, context: { cluster: one, user: one } }],
      'current-context': one,
    });
  }
}
