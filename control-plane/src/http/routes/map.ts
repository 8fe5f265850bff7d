// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseTime } from '../../flows/filter.js';
import { type MapInput, mapOf } from '../../flows/map.js';
import { timeText } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { AGO, failures, json } from '../schemas.js';

const DAY_US = 86_400e6;
const word = z.string().max(500).optional();
const side = z.object({
  name: z.string(),
  kind: z.enum(['container', 'pod', 'name', 'network', 'node']),
});

const route = createRoute({
  method: 'get',
  path: '/v1/map',
  summary: 'Who calls whom',
  description:
    'Flows summed up by workload container, who it called, port, verdict and protocol. Long times are taken in whole hours; since and until say which.',
  request: {
    query: z.strictObject({
      namespace: word,
      pod: word,
      container: word,
      node: word,
      since: word.openapi({ description: `${AGO}; a day ago` }),
      until: word.openapi({ description: 'as since; now' }),
    }),
  },
  responses: {
    200: json(
      z.object({
        since: z.string(),
        until: z.string(),
        calls: z.array(
          z.object({
            caller: side,
            called: side,
            service: z
              .string()
              .nullable()
              .openapi({ description: 'the address that was asked for, when it was translated' }),
            port: z.number(),
            protocol: z.string(),
            verdict: z.string(),
            rule: z.string().nullable(),
            payloads: z.array(z.string()),
            plaintext: z.boolean(),
            flows: z.number(),
            sentBytes: z.number(),
            receivedBytes: z.number(),
            first: z.string(),
            last: z.string(),
          }),
        ),
      }),
      'by caller, most flows first',
    ),
    ...failures,
  },
});

export function map(api: Api, { store }: Context): void {
  api.openapi(route, async (c) => {
    const { since, until, container, ...names } = c.req.valid('query');
    const now = nowUs();
    const untilUs = until === undefined ? now : parseTime(until, now, 'until');
    const sinceUs = since === undefined ? untilUs - DAY_US : parseTime(since, now, 'since');
    const found = await store.reader.call(
      'edges',
      { sinceUs, untilUs },
      { ...names, ...(container !== undefined && { container: { name: container } }) },
    );
    return c.json(
      {
        since: timeText(found.sinceUs),
        until: timeText(found.untilUs),
        calls: mapOf(found.edges satisfies MapInput[]),
      },
      200,
    );
  });
}
