// SPDX-License-Identifier: Apache-2.0
//
// Who somebody is, and what he may do, by the API server of Kubernetes. Two POSTs with the service account of the pod: a client
// library would bring a hundred packages for them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CellwallError } from '../errors.js';
import { httpRequest } from '../http_request.js';
import type { Refused } from './access.js';
import type { Caller } from './caller.js';
import { ROLES, type Role } from './roles.js';
import { hashSecret } from './token_text.js';

/** Tokens have to be made for us: `kubectl create token NAME --audience cellwall`. */
export const AUDIENCE = 'cellwall';
const GROUP = 'cellwall.dev';
/** What RBAC has to allow for each role, in the whole cluster. */
export const NEEDED: Readonly<Record<Role, { readonly verb: string; readonly resource: string }>> = {
  view: { verb: 'get', resource: 'flows' },
  propose: { verb: 'propose', resource: 'containerpolicies' },
  admin: { verb: 'update', resource: 'containerpolicies' },
};
/** So long a right that was taken away still holds. */
const CACHE_MS = 60_000;
/** The oldest go first. */
const MOST_CACHED = 1000;
/** Questions to the API server under way; more are refused. */
const MOST_ASKED = 20;
const PATIENCE_MS = 5000;

export interface KubernetesApi {
  readonly url: string;
  readonly ca: string;
  /** Read anew for each question: the kubelet replaces it. */
  readonly token: () => string;
}

export interface KubernetesOptions {
  readonly api: string;
  /** Of the pod's service account. */
  readonly folder: string;
}

/** Throws invalid_option where there is no service account. */
export function apiOf({ api, folder }: KubernetesOptions): KubernetesApi {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim();
  try {
    read('token');
    return { url: api, ca: read('ca.crt'), token: () => read('token') };
  } catch (error) {
    throw new CellwallError(
      'invalid_option',
      `--kubernetes-auth: this pod has no service account (${(error as Error).message})`,
    );
  }
}

interface UserInfo {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly user?: UserInfo;
  readonly audiences?: readonly string[];
}

type Known = { readonly name: string; readonly role: Role } | Refused;

const UNKNOWN: Refused = { reason: 'unknown token', actor: 'nobody' };

export class KubernetesIdentity {
  readonly #api: KubernetesApi;
  readonly #cache = new Map<string, { readonly answer: Promise<Known>; readonly untilMs: number }>();
  #asked = 0;

  constructor(api: KubernetesApi) {
    this.#api = api;
  }

  async identify(token: string, address: string): Promise<Caller | Refused> {
    const known = await this.#known(token);
    if ('reason' in known) return known;
    const { name, role } = known;
    const kind = 'kubernetes';
    return { actor: `${kind}:${name}`, name, role, kind, tokenId: null, expiresUs: null, address };
  }

  #known(token: string): Promise<Known> {
    const key = hashSecret(token);
    const cached = this.#cache.get(key);
    if (cached && cached.untilMs > performance.now()) return cached.answer;
    const answer = this.#ask(token);
    this.#cache.delete(key);
    this.#cache.set(key, { answer, untilMs: performance.now() + CACHE_MS });
    if (this.#cache.size > MOST_CACHED) {
      const oldest = this.#cache.keys().next();
      if (!oldest.done) this.#cache.delete(oldest.value);
    }
    // That nobody answered is not remembered.
    answer.catch(() => this.#cache.delete(key));
    return answer;
  }

  async #ask(token: string): Promise<Known> {
    if (this.#asked >= MOST_ASKED)
      throw new CellwallError('store_unavailable', 'too many tokens wait for the API server of Kubernetes; try again');
    this.#asked++;
    try {
      const review = await this.#post<TokenReviewStatus>('authentication.k8s.io/v1/tokenreviews', {
        kind: 'TokenReview',
        apiVersion: 'authentication.k8s.io/v1',
        spec: { token, audiences: [AUDIENCE] },
      });
      const { authenticated, user, audiences = [] } = review;
      // An API server that knows no audiences answers without them, for a token that can be anybody's.
      if (!authenticated || !user?.username || !audiences.includes(AUDIENCE)) return UNKNOWN;
      const allowed = await Promise.all(ROLES.map((role) => this.#may(user, NEEDED[role])));
      const role = ROLES.filter((_, index) => allowed[index]).at(-1);
      if (!role) return { reason: 'no role in Kubernetes', actor: `kubernetes:${user.username}` };
      return { name: user.username, role };
    } finally {
      this.#asked--;
    }
  }

  async #may({ username, uid, groups, extra }: UserInfo, { verb, resource }: { verb: string; resource: string }) {
    const { allowed } = await this.#post<{ allowed?: boolean }>('authorization.k8s.io/v1/subjectaccessreviews', {
      kind: 'SubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      spec: { user: username, uid, groups, extra, resourceAttributes: { group: GROUP, verb, resource } },
    });
    return allowed === true;
  }

  async #post<T>(path: string, body: object): Promise<T> {
    const { url, ca, token } = this.#api;
    try {
      const answer = await httpRequest(new URL(`/apis/${path}`, url), {
        method: 'POST',
        headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        ca,
        timeoutMs: PATIENCE_MS,
      });
      const text = await answer.text();
      if (answer.status !== 200 && answer.status !== 201) throw new Error(`it answered ${answer.status}`);
      return (JSON.parse(text) as { status?: T }).status ?? ({} as T);
    } catch (error) {
      throw new CellwallError(
        'store_unavailable',
        `the API server of Kubernetes cannot say who this is (${(error as Error).message}): refused; tokens of Cellwall itself go on working`,
      );
    }
  }
}
