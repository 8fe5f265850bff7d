// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseTime } from '../../flows/filter.js';
import { timeText } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { reasonName } from '../losses.js';
import { AGO, failures, json, lossSchema } from '../schemas.js';

const MOST = 10_000;

const route = createRoute({
  method: 'get',
  path: '/v1/losses',
  summary: 'Gaps in the record: how many flow records were made and are not stored, when and why',
  request: {
    query: z.strictObject({
      node: z.string().max(253).optional(),
      since: z.string().max(100).optional().openapi({ description: AGO }),
      limit: z.coerce.number().int().min(1).max(MOST).default(1000),
    }),
  },
  responses: {
    200: json(
      z.object({
        losses: z.array(lossSchema),
        more: z.boolean().openapi({ description: 'older ones are left out' }),
      }),
      'that the server heard of since then, the newest first',
    ),
    ...failures,
  },
});

const timeOrNull = (us: number | null): string | null => (us === null || us === 0 ? null : timeText(us));

export function losses(api: Api, { store }: Context): void {
  api.openapi(route, async (c) => {
    const { node, since, limit } = c.req.valid('query');
    const sinceUs = since === undefined ? 0 : parseTime(since, nowUs(), 'since');
    const gaps = await store.reader.call('gaps', node ?? null, sinceUs, limit + 1);
    const list = gaps.slice(0, limit).map((it) => ({
      node: it.node,
      epoch: it.epoch,
      reason: reasonName(it.reason),
      count: it.count,
      first: timeOrNull(it.firstUs),
      last: timeOrNull(it.lastUs),
      noticed: timeText(it.noticedUs),
    }));
    return c.json({ losses: list, more: gaps.length > limit }, 200);
  });
}
