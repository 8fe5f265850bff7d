// SPDX-License-Identifier: Apache-2.0
//
// The way in and out.
import { createRoute, z } from '@hono/zod-openapi';
import { NOBODY } from '../../access/caller.js';
import { ROLES } from '../../access/roles.js';
import { CellwallError } from '../../errors.js';
import { timeText } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { addressOf, bearerOf } from '../guard.js';
import { failures, json, newTokenSchema, tokenName } from '../schemas.js';

const exchange = createRoute({
  method: 'post',
  path: '/v1/login',
  security: [],
  summary: 'Exchange the one-time token, which the server has printed, for a personal token of the role admin',
  request: {
    body: { required: true, content: { 'application/json': { schema: z.strictObject({ name: tokenName }) } } },
  },
  responses: { 200: json(newTokenSchema, 'the token: it is not shown again'), ...failures },
});
const whoami = createRoute({
  method: 'get',
  path: '/v1/whoami',
  summary: 'Who the caller is',
  responses: {
    200: json(
      z.object({
        name: z.string(),
        role: z.enum(ROLES),
        kind: z.enum(['token', 'token-file', 'kubernetes']),
        actor: z.string().openapi({ description: 'as the audit log says it' }),
        expires: z.string().nullable(),
      }),
      'the caller',
    ),
    ...failures,
  },
});
const logout = createRoute({
  method: 'post',
  path: '/v1/logout',
  summary: 'Revoke the token that this is asked with',
  responses: { 200: json(z.object({ revoked: z.boolean() }), 'false: it is no token of ours'), ...failures },
});

export function login(api: Api, { access }: Context): void {
  api.openapi(exchange, async (c) => {
    const address = addressOf(c);
    const { name } = c.req.valid('json');
    const done = await access.login(bearerOf(c) ?? '', name, address, nowUs());
    if (!done) {
      const seconds = access.failed(address);
      access.denials.add({ actor: NOBODY, address, reason: 'wrong one-time token', subject: 'POST /v1/login' });
      if (seconds > 0) {
        c.header('retry-after', String(seconds));
        throw new CellwallError('too_many_requests', `too many wrong tokens; try again in ${seconds} s`);
      }
      throw new CellwallError(
        'unauthorized',
        'this is not the one-time token, or it was used, or its hour is over; a server without an admin prints another one when it is started again',
      );
    }
    const expires = done.expiresUs === null ? null : timeText(done.expiresUs);
    return c.json({ id: done.id, name: done.name, role: 'admin' as const, expires, token: done.text }, 200);
  });
  api.openapi(whoami, (c) => {
    const { name, role, kind, actor, expiresUs } = c.get('caller');
    return c.json({ name, role, kind, actor, expires: expiresUs === null ? null : timeText(expiresUs) }, 200);
  });
  api.openapi(logout, async (c) => {
    const { tokenId, actor, address } = c.get('caller');
    if (tokenId === null) return c.json({ revoked: false }, 200);
    await access.tokens.revoke(access.tokens.find(tokenId, nowUs()), { actor, address, action: 'logout' }, nowUs());
    return c.json({ revoked: true }, 200);
  });
}
