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
    'Flows that have ended or were refused, in the order of arrival, and with `open` those that are open, with which the first page begins.',
  request: {
    query: flowFilterQuery.extend({
      open: z.enum(['include', 'exclude', 'only']).default('exclude'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      peers: z
        .enum(['true', 'false'])
        .default('true')
        .openapi({ description: 'also tell who is at the other end; false is quicker' }),
      cursor: z.string().max(200).optional().openapi({ description: 'nextCursor of the page before' }),
    }),
  },
  responses: {
    200: json(z.object({ flows: z.array(flowSchema), nextCursor: z.string().nullable() }), 'a page'),
    ...failures,
  },
});

export function flows(api: Api, { store, staging }: Context): void {
  api.openapi(route, async (c) => {
    const { open, limit, cursor, peers, ...words } = c.req.valid('query');
    const filter = parseFilter(words, nowUs());
    const stillOpen = open === 'exclude' || cursor ? [] : await store.reader.call('openFlows', filter, limit);
    const room = limit - stillOpen.length;
    const page =
      open === 'only' || room <= 0
        ? { flows: [], next: null }
        : await store.reader.call('flows', filter, room, cursor ? readCursor(cursor) : null);
    const found = [...stillOpen, ...page.flows];
    const others = peers === 'true' ? await store.reader.call('peers', found) : [];
    const pending = await staging.pending(found, others);
    return c.json(
      {
        flows: found.map((flow, index) => toFlow(flow, others[index] ?? null, pending[index])),
        nextCursor: page.next && writeCursor(page.next),
      },
      200,
    );
  });
}
