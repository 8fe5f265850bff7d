// SPDX-License-Identifier: Apache-2.0
//
// Agents that run as pods: whose a projected token is, and on which node that pod runs.
import { CellwallError } from '../errors.js';
import { AUDIENCE, type ReviewedPod, type ServiceAccountReviewer } from '../identity/service_accounts.js';
import type { KubernetesApi } from './api.js';

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly error?: string;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string; readonly extra?: Readonly<Record<string, readonly string[]>> };
  };
}

interface Pod {
  readonly metadata?: { readonly uid?: string; readonly deletionTimestamp?: string };
  readonly spec?: { readonly nodeName?: string };
}

const EXTRA = 'authentication.kubernetes.io/';
const refuse = (message: string): never => {
  throw new CellwallError('unauthorized', message);
};

export class AgentPods implements ServiceAccountReviewer {
  readonly #api: KubernetesApi;
  readonly #account: string;

  /** account: NAMESPACE/NAME of the agents. Any pod can ask for a token of any audience, so the account is what counts. */
  constructor(api: KubernetesApi, account: string) {
    this.#api = api;
    this.#account = `system:serviceaccount:${account.replace('/', ':')}`;
  }

  async review(token: string): Promise<ReviewedPod> {
    if (token === '') refuse('there is no token');
    const { status } = await this.#api.ask<TokenReview>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [AUDIENCE] },
    });
    const { authenticated, audiences = [], user } = status ?? {};
    // An API server that knows no audiences answers without them, for a token that can be anybody's.
    if (!authenticated || !audiences.includes(AUDIENCE))
      refuse(
        `the API server does not take the token for audience ${AUDIENCE}${status?.error ? `: ${status.error}` : ''}`,
      );
    const account = user?.username ?? '';
    if (account !== this.#account) refuse(`the token is of ${account.slice(0, 300)}, and not of ${this.#account}`);
    const extra = (name: string) => user?.extra?.[EXTRA + name]?.[0] ?? '';
    const pod = extra('pod-name');
    if (pod === '') refuse('the token is bound to no pod: it has to be a projected one');
    const who = `${account} (pod ${pod})`;
    const node = extra('node-name') || (await this.#nodeOf(pod, extra('pod-uid')));
    return { who, node };
  }

  /** Kubernetes before 1.32 does not say it in the token. */
  async #nodeOf(name: string, uid: string): Promise<string> {
    const namespace = this.#account.split(':')[2] ?? '';
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
    const pod = await this.#api.ask<Pod>('GET', path);
    if (pod.metadata?.uid !== uid) refuse(`pod ${name} is another one than that of the token`);
    return pod.spec?.nodeName || refuse(`pod ${name} runs on no node yet`);
  }
}
