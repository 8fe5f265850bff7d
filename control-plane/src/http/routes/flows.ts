// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseFilter, readCursor, writeCursor } from '../../flows/filter.js';
import { toFlow } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { failures, flowFilterQuery, flowSchema, json } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/flows',
  summary: 'Flows, newest first',
  description:
    'Flows that have ended or were refused, and with `open` those that are open. The first page begins with open ones. For up to 64 containers the order is that of the end, else that of arrival.',
  request: {
    query: flowFilterQuery.extend({
      open: z.enum(['include', 'exclude', 'only']).default('exclude'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      cursor: z.string().max(200).optional().openapi({ description: 'nextCursor of the page before' }),
    }),
  },
  responses: {
    200: json(z.object({ flows: z.array(flowSchema), nextCursor: z.string().nullable() }), 'a page'),
    ...failures,
  },
});

export function flows(api: Api, { store }: Context): void {
  api.openapi(route, async (c) => {
    const { open, limit, cursor, ...words } = c.req.valid('query');
    const filter = parseFilter(words, nowUs());
    const stillOpen = open === 'exclude' || cursor ? [] : await store.reader.call('openFlows', filter, limit);
    const room = limit - stillOpen.length;
    const page =
      open === 'only' || room <= 0
        ? { flows: [], next: null }
        : await store.reader.call('flows', filter, room, cursor ? readCursor(cursor) : null);
    return c.json(
      { flows: [...stillOpen, ...page.flows].map(toFlow), nextCursor: page.next && writeCursor(page.next) },
      200,
    );
  });
}
