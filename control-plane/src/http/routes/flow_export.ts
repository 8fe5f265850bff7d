// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseFilter, readCursor, writeCursor } from '../../flows/filter.js';
import { toFlow } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { failures, flowFilterQuery, flowSchema, json } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/flows/export',
  summary: 'All flows that match, oldest first, page after page',
  description:
    'For taking many flows out: read by a thread of its own, so that other questions do not wait. Without open flows. Give `until`, else a busy store has no end.',
  request: {
    query: flowFilterQuery.extend({
      limit: z.coerce.number().int().min(1).max(5000).default(1000),
      peers: z.enum(['true', 'false']).default('false').openapi({
        description:
          'also tell who is at the other end, and what staged versions of policies say; takes about a millisecond for each flow',
      }),
      cursor: z.string().max(200).optional().openapi({ description: 'nextCursor of the page before' }),
    }),
  },
  responses: {
    200: json(z.object({ flows: z.array(flowSchema), nextCursor: z.string().nullable() }), 'a page'),
    ...failures,
  },
});

export function flowExport(api: Api, { store, staging }: Context): void {
  api.openapi(route, async (c) => {
    const { limit, cursor, peers, ...words } = c.req.valid('query');
    const from = cursor ? readCursor(cursor) : null;
    const { flows, next } = await store.exporter.call('oldestFirst', parseFilter(words, nowUs()), limit, from);
    const others = peers === 'true' ? await store.exporter.call('peers', flows) : [];
    // Whether an address is still whose it was takes knowing whose it was.
    const pending = peers === 'true' ? await staging.pending(flows, others) : [];
    return c.json(
      {
        flows: flows.map((flow, index) => toFlow(flow, others[index] ?? null, pending[index])),
        nextCursor: next && writeCursor(next),
      },
      200,
    );
  });
}
