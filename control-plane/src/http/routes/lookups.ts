// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseFilter } from '../../flows/filter.js';
import { displayName, LOOKUP_RESULTS, timeText } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { failures, json } from '../schemas.js';

const word = z.string().max(500).optional();
/** IANA DNS parameters, resource record types. */
const TYPES: Readonly<Record<number, string>> = {
  1: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  12: 'PTR',
  15: 'MX',
  16: 'TXT',
  28: 'AAAA',
  33: 'SRV',
  64: 'SVCB',
  65: 'HTTPS',
  255: 'ANY',
};

const route = createRoute({
  method: 'get',
  path: '/v1/lookups',
  summary: 'Names that containers asked for, and how they were answered',
  description: 'Of containers whose names are observed. Counted by minute, newest first.',
  request: {
    query: z.strictObject({
      container: word,
      pod: word,
      namespace: word,
      node: word,
      since: word,
      until: word,
      name: word.openapi({ description: '* stands for any text' }),
      failed: z.enum(['true', 'false']).default('false').openapi({ description: 'only what got no answer' }),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
  },
  responses: {
    200: json(
      z.object({
        lookups: z.array(
          z.object({
            container: z.string(),
            node: z.string(),
            minute: z.string(),
            name: z.string(),
            type: z.string(),
            result: z.string(),
            count: z.number(),
            addresses: z.array(z.string()).openapi({ description: 'of the last answer in that minute' }),
          }),
        ),
      }),
      'look-ups',
    ),
    ...failures,
  },
});

const FAILED = LOOKUP_RESULTS.flatMap((name, number) => (name === '' || name === 'answered' ? [] : [number]));

export function lookups(api: Api, { store }: Context): void {
  api.openapi(route, async (c) => {
    const { failed, limit, ...words } = c.req.valid('query');
    const filter = parseFilter(words, nowUs());
    const rows = await store.reader.call('lookups', filter, failed === 'true' ? FAILED : null, limit);
    return c.json(
      {
        lookups: rows.map((row) => ({
          container: displayName(row),
          node: row.node,
          minute: timeText(row.windowUs),
          name: row.name,
          type: TYPES[row.type] ?? `TYPE${row.type}`,
          result: LOOKUP_RESULTS[row.result] ?? '',
          count: row.count,
          addresses: JSON.parse(row.addresses) as string[],
        })),
      },
      200,
    );
  });
}
