// SPDX-License-Identifier: Apache-2.0
//
// What each route asks of its caller. A route that is not here keeps the server from starting.
import { includes, type Role } from '../access/roles.js';

/** open: for everybody, also without a token. */
export type Requirement = Role | 'open';

/** "METHOD path", as Hono writes paths. With "?dryRun=true": of that request to the route, which changes nothing. */
export const REQUIRED: Readonly<Record<string, Requirement>> = {
  'GET /healthz': 'open',
  'GET /readyz': 'open',
  // With the one-time token, which is no caller's.
  'POST /v1/login': 'open',
  'GET /openapi.json': 'view',
  'GET /metrics': 'view',
  'GET /v1/status': 'view',
  'GET /v1/whoami': 'view',
  'POST /v1/logout': 'view',
  'GET /v1/flows': 'view',
  'GET /v1/flows/stream': 'view',
  'GET /v1/flows/export': 'view',
  'GET /v1/flows/:id': 'view',
  'GET /v1/who': 'view',
  'GET /v1/backup': 'view',
  // Writes on the server's machine.
  'PUT /v1/backup': 'admin',
  'GET /v1/map': 'view',
  'GET /v1/listeners': 'view',
  'GET /v1/lookups': 'view',
  'GET /v1/losses': 'view',
  'GET /v1/containers': 'view',
  'GET /v1/nodes': 'view',
  'GET /v1/hints': 'view',
  'GET /v1/explain': 'view',
  'GET /v1/policies': 'view',
  'GET /v1/policies/learn': 'view',
  'GET /v1/policies/drift': 'view',
  'GET /v1/policies/:namespace/:name/findings': 'view',
  'GET /v1/policies/:namespace/:name': 'view',
  'GET /v1/policies/:namespace/:name/description': 'view',
  'POST /v1/policies/simulation': 'propose',
  'GET /v1/world': 'view',
  'PUT /v1/policies': 'admin',
  'PUT /v1/policies?dryRun=true': 'propose',
  'DELETE /v1/policies/:namespace/:name': 'admin',
  'GET /v1/staged': 'view',
  'PUT /v1/staged': 'propose',
  'GET /v1/staged/:namespace/:name': 'propose',
  'DELETE /v1/staged/:namespace/:name': 'propose',
  'GET /v1/proposals': 'view',
  'GET /v1/proposals/:id': 'view',
  'POST /v1/proposals': 'propose',
  // Of one's own; an admin's rejection of another's is the route below.
  'POST /v1/proposals/:id/withdraw': 'propose',
  'POST /v1/proposals/:id/approve': 'admin',
  'POST /v1/proposals/:id/reject': 'admin',
  'GET /v1/ca': 'view',
  'POST /v1/ca/rotate': 'admin',
  'POST /v1/ca/finish': 'admin',
  'GET /v1/join-tokens': 'admin',
  'POST /v1/join-tokens': 'admin',
  'DELETE /v1/join-tokens/:id': 'admin',
  'POST /v1/nodes/:name/revoke': 'admin',
  'POST /v1/nodes/:name/allow': 'admin',
  'GET /v1/tokens': 'admin',
  'POST /v1/tokens': 'admin',
  'DELETE /v1/tokens/:token': 'admin',
  'GET /v1/audit': 'admin',
  'GET /v1/audit/export': 'admin',
  'GET /v1/audit/verification': 'admin',
};

export interface Route {
  readonly method: string;
  readonly path: string;
}

/** All but middleware, which is registered for everything. */
export const handlersOf = (routes: readonly Route[]): Route[] =>
  routes.filter(({ method, path }) => method !== 'ALL' || path !== '/*');

export const keyOf = ({ method, path }: Route): string => `${method} ${path}`;

/** Throws when a route says nothing of who may call it, or a line above is of no route. */
export function checkDeclared(routes: readonly Route[]): void {
  const there = new Set(handlersOf(routes).map(keyOf));
  const bare = [...there].filter((key) => !Object.hasOwn(REQUIRED, key));
  if (bare.length > 0) throw new Error(`routes without a role in required_roles.ts: ${bare.join(', ')}`);
  const gone = Object.keys(REQUIRED).filter((key) => !there.has(key.replace(/\?.*$/, '')));
  if (gone.length > 0) throw new Error(`required_roles.ts names routes that there are not: ${gone.join(', ')}`);
}

/** Of a request, by the routes that it matches: the strictest one counts. What matches nothing is told to callers only. */
export function requirementOf(matched: readonly Route[], dryRun: boolean): Requirement {
  const wanted = handlersOf(matched).map((route): Requirement => {
    const key = keyOf(route);
    return (dryRun && REQUIRED[`${key}?dryRun=true`]) || (REQUIRED[key] ?? 'admin');
  });
  if (wanted.length === 0) return 'view';
  const roles = wanted.filter((it) => it !== 'open');
  return roles.reduce<Requirement>(
    (strictest, it) => (strictest !== 'open' && includes(strictest, it) ? strictest : it),
    'open',
  );
}
