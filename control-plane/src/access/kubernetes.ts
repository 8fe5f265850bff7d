// SPDX-License-Identifier: Apache-2.0
//
// Who somebody is, and what he may do, by the API server of Kubernetes.
import { CellwallError } from '../errors.js';
import type { KubernetesApi } from '../kubernetes/api.js';
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
    try {
      return (await this.#api.ask<{ status?: T }>('POST', `/apis/${path}`, body)).status ?? ({} as T);
    } catch (error) {
      throw new CellwallError(
        'store_unavailable',
        `nobody can say who this is (${(error as Error).message}): refused; tokens of Cellwall itself go on working`,
      );
    }
  }
}
