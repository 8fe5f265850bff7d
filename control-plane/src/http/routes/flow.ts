// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { toFlow } from '../../flows/record.js';
import type { Api, Context } from '../context.js';
import { failures, flowSchema, json } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/flows/{id}',
  summary: 'One flow, and the record at its other end',
  request: {
    params: z.object({ id: z.string().openapi({ description: 'id of a flow: DAY-NUMBER, or open-NUMBER' }) }),
  },
  responses: {
    200: json(z.object({ flow: flowSchema, otherEnd: flowSchema.nullable() }), 'all that is known'),
    ...failures,
  },
});

export function flow(api: Api, { store, staging }: Context): void {
  api.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    const match = /^(open|\d{4}-\d{2}-\d{2})-(\d{1,15})$/.exec(id);
    if (!match)
      throw new CellwallError('invalid_filter', `flow "${id}": write the id of a flow, such as 2026-03-02-17`);
    const found = await store.reader.call('one', match[1] ?? '', Number(match[2]));
    if (!found)
      throw new CellwallError(
        'not_found',
        `there is no flow ${id}: it is past its retention, or it was open and has ended`,
      );
    const [[peer = null], partner] = await Promise.all([
      store.reader.call('peers', [found]),
      store.reader.call('partner', found),
    ]);
    const ends = partner ? [found, partner] : [found];
    const [own, other] = await staging.pending(ends, [peer]);
    return c.json({ flow: toFlow(found, peer, own), otherEnd: partner ? toFlow(partner, null, other) : null }, 200);
  });
}
