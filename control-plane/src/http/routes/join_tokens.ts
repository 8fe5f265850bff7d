// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseDuration } from '../../duration.js';
import { CellwallError } from '../../errors.js';
import { timeText } from '../../flows/record.js';
import { LONGEST_JOIN_S, stateOfToken } from '../../identity/join_token.js';
import type { Api, Context } from '../context.js';
import { failures, json } from '../schemas.js';

const tokenSchema = z
  .object({
    id: z.string(),
    node: z.string().nullable().openapi({ description: 'null: any that has no certificate' }),
    created: z.string(),
    expires: z.string(),
    state: z.enum(['open', 'used', 'expired', 'revoked']),
    usedBy: z.string().nullable(),
  })
  .openapi('JoinToken');

const create = createRoute({
  method: 'post',
  path: '/v1/join-tokens',
  summary: 'Make a token with which one agent gets its first certificate',
  request: {
    query: z.strictObject({
      node: z.string().max(253).optional().openapi({ description: 'the only one that may use it' }),
      expires: z.string().default('1h').openapi({ description: '15m, 2h, 1d from now' }),
    }),
  },
  responses: {
    200: json(z.object({ id: z.string(), token: z.string(), expires: z.string() }), 'shown once'),
    ...failures,
  },
});
const list = createRoute({
  method: 'get',
  path: '/v1/join-tokens',
  summary: 'Join tokens, without what is secret in them',
  responses: { 200: json(z.object({ tokens: z.array(tokenSchema) }), 'newest first'), ...failures },
});
const revoke = createRoute({
  method: 'delete',
  path: '/v1/join-tokens/{id}',
  summary: 'Revoke a join token',
  request: { params: z.object({ id: z.string().max(50) }) },
  responses: { 200: json(z.object({ revoked: z.string() }), 'it lets nobody in any more'), ...failures },
});

export function joinTokens(api: Api, { store, agents }: Context): void {
  const enrolment = () => {
    const { enrolment: own } = agents.access;
    if (!own)
      throw new CellwallError(
        'conflict',
        'agents cannot enrol here: the server was started with given certificates, or without TLS (--tls own)',
      );
    return own;
  };
  api.openapi(create, async (c) => {
    const { node, expires } = c.req.valid('query');
    const seconds = parseDuration(expires);
    if (seconds === undefined || seconds < 1 || seconds > LONGEST_JOIN_S)
      throw new CellwallError('invalid_filter', `expires "${expires}": give 1s to ${LONGEST_JOIN_S / 86_400}d`);
    const { id, token, expiresUs } = await enrolment().createJoinToken(node, seconds, c.get('caller').actor);
    return c.json({ id, token, expires: timeText(expiresUs) }, 200);
  });
  api.openapi(list, async (c) => {
    const rows = await store.writer.call('joinTokens');
    const nowUs = Date.now() * 1000;
    const tokens = rows.map((row) => ({
      id: row.id,
      node: row.node,
      created: timeText(row.createdUs),
      expires: timeText(row.expiresUs),
      state: stateOfToken(row, nowUs),
      usedBy: row.usedBy,
    }));
    return c.json({ tokens }, 200);
  });
  api.openapi(revoke, async (c) => {
    const { id } = c.req.valid('param');
    await enrolment().revokeJoinToken(id, c.get('caller').actor);
    return c.json({ revoked: id }, 200);
  });
}
