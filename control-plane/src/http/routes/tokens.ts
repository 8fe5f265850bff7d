// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { ROLES, type Role } from '../../access/roles.js';
import { stateOf } from '../../access/token_book.js';
import { timeText } from '../../flows/record.js';
import type { StoredToken } from '../../store/tokens.js';
import { type Api, type Context, nowUs } from '../context.js';
import { failures, json, newTokenSchema, tokenName, tokenSchema } from '../schemas.js';

const MOST_DAYS = 3660;

const list = createRoute({
  method: 'get',
  path: '/v1/tokens',
  summary: 'All tokens, without their secrets',
  description: 'Tokens that were revoked or have expired are forgotten after 90 days.',
  responses: { 200: json(z.object({ tokens: z.array(tokenSchema) }), 'oldest first'), ...failures },
});
const create = createRoute({
  method: 'post',
  path: '/v1/tokens',
  summary: 'Make a token',
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: z.strictObject({
            name: tokenName,
            role: z.enum(ROLES),
            days: z
              .number()
              .int()
              .min(1)
              .max(MOST_DAYS)
              .nullable()
              .openapi({ description: 'until it expires; null: never' }),
          }),
        },
      },
    },
  },
  responses: { 200: json(newTokenSchema, 'the token: it is not shown again'), ...failures },
});
const revoke = createRoute({
  method: 'delete',
  path: '/v1/tokens/{token}',
  summary: 'Revoke a token: at once, and for ever',
  request: { params: z.object({ token: z.string().max(100).openapi({ description: 'its id, or its name' }) }) },
  responses: { 200: json(tokenSchema, 'what it was'), ...failures },
});

const text = (us: number | null): string | null => (us === null ? null : timeText(us));

function show(it: StoredToken) {
  return {
    id: it.id,
    name: it.name,
    role: it.role as Role,
    state: stateOf(it, nowUs()),
    created: timeText(it.createdUs),
    createdBy: it.createdBy,
    expires: text(it.expiresUs),
    lastUsed: text(it.lastUsedUs),
    revoked: text(it.revokedUs),
  };
}

export function tokens(api: Api, { access }: Context): void {
  const book = access.tokens;
  api.openapi(list, (c) => c.json({ tokens: book.all().map(show) }, 200));
  api.openapi(create, async (c) => {
    const { name, role, days } = c.req.valid('json');
    const { actor, address } = c.get('caller');
    const expiresUs = days === null ? null : nowUs() + days * 86_400e6;
    const made = await book.create({ name, role, expiresUs }, { actor, address, action: 'token.create' }, nowUs());
    return c.json({ id: made.id, name, role, expires: text(expiresUs), token: made.text }, 200);
  });
  api.openapi(revoke, async (c) => {
    const { actor, address } = c.get('caller');
    const found = book.find(c.req.valid('param').token, nowUs());
    await book.revoke(found, { actor, address, action: 'token.revoke' }, nowUs());
    return c.json(show(book.find(found.id, nowUs())), 200);
  });
}
