// SPDX-License-Identifier: Apache-2.0
//
// Who may pass: identity, role, rate. Every request comes by here first.
import { getConnInfo } from '@hono/node-server/conninfo';
import type { Context as HonoContext, MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import type { Refused } from '../access/access.js';
import { addressKey, Buckets } from '../access/buckets.js';
import type { Caller } from '../access/caller.js';
import { includes } from '../access/roles.js';
import { CellwallError } from '../errors.js';
import { asking } from '../store/turns.js';
import { type Context, type Env, nowUs } from './context.js';
import { requirementOf } from './required_roles.js';

/** Callers and addresses whose rates are kept; the least recent ones begin anew. */
const MOST_RATES = 10_000;

const HOW = 'run \'cellwall login\', or send "Authorization: Bearer TOKEN" (CELLWALL_TOKEN, or --token, for the CLI)';

export function bearerOf(c: HonoContext): string | undefined {
  return /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
}

export function addressOf(c: HonoContext): string {
  return getConnInfo(c).remote.address ?? 'unknown';
}

function tooMany(c: HonoContext, seconds: number, what: string): CellwallError {
  c.header('retry-after', String(seconds));
  return new CellwallError('too_many_requests', `${what}; try again in ${seconds} s`);
}

export function guard(context: Context): MiddlewareHandler<Env> {
  const { access, limits, counts, turnedAway } = context;
  const rates = new Buckets(limits.requestsPerSecond, 2 * limits.requestsPerSecond, MOST_RATES);
  const underWay = new Map<string, number>();

  const deny = (c: HonoContext, { actor, reason }: Refused, address: string) =>
    access.denials.add({ actor, reason, address, subject: `${c.req.method} ${c.req.path.slice(0, 200)}` });

  /** For the rate: until it allows for another one. */
  const turnAway = (c: HonoContext, seconds: number, what: string, refused: Refused, address: string): never => {
    const error = tooMany(c, seconds, what);
    const count = () => {
      counts.requestsLimited++;
      deny(c, refused, address);
    };
    if (c.env.incoming) turnedAway.tell(c.env.incoming, error, seconds, count);
    count();
    throw error;
  };

  /** Of the caller, or of the address. */
  const limit = (c: HonoContext, key: string, actor: string, address: string) => {
    const seconds = rates.take(key);
    if (seconds === 0 && (underWay.get(key) ?? 0) < limits.requestsAtOnce) return;
    const refused = { actor, reason: 'too many requests' };
    if (seconds > 0) turnAway(c, seconds, `more than ${limits.requestsPerSecond} requests a second`, refused, address);
    counts.requestsLimited++;
    deny(c, refused, address);
    throw tooMany(c, 1, `${limits.requestsAtOnce} requests of yours are under way`);
  };

  const refuse = (c: HonoContext, refused: Refused, address: string): never => {
    const seconds = access.failed(address);
    if (seconds > 0) turnAway(c, seconds, `too many requests without a valid token from ${address}`, refused, address);
    deny(c, refused, address);
    throw new CellwallError(
      'unauthorized',
      refused.reason === 'no token' ? `a token is needed: ${HOW}` : `refused (${refused.reason}): ${HOW}`,
    );
  };

  return async (c, next) => {
    const address = addressOf(c);
    const requirement = requirementOf(matchedRoutes(c), c.req.query('dryRun') === 'true');
    let key = `address ${addressKey(address)}`;
    if (requirement === 'open') {
      limit(c, key, 'nobody', address);
    } else {
      const found = await access.identify(bearerOf(c), address, nowUs());
      if ('reason' in found) return refuse(c, found, address);
      const caller: Caller = found;
      key = caller.actor;
      limit(c, key, caller.actor, address);
      if (!includes(caller.role, requirement)) {
        deny(c, { actor: caller.actor, reason: `needs ${requirement}, is ${caller.role}` }, address);
        throw new CellwallError(
          'forbidden',
          `${caller.name} has the role ${caller.role}; ${c.req.method} ${c.req.path} needs ${requirement}`,
        );
      }
      c.set('caller', caller);
      const socket = c.env.incoming?.socket;
      if (socket) context.connections.known(socket);
    }
    underWay.set(key, (underWay.get(key) ?? 0) + 1);
    const done = () => {
      const left = (underWay.get(key) ?? 1) - 1;
      if (left > 0) underWay.set(key, left);
      else underWay.delete(key);
    };
    // Until the answer is sent: one that nobody reads is kept in memory.
    const { outgoing } = c.env;
    if (outgoing) outgoing.once('close', done);
    else done();
    await asking(key, next);
  };
}
