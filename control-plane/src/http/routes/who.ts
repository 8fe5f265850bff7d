// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { parseEndpoint, parseProtocol, parseTime } from '../../flows/filter.js';
import type { StoredFlow } from '../../flows/record.js';
import { type Flow, toFlow } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { showListener } from '../listeners.js';
import { AGO, failures, flowSchema, json, listenerSchema } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/who',
  summary: 'Who was behind an address and port at a time',
  description:
    'Flows that began there (as the container saw itself, or as the far side saw it after NAT), sockets that accepted there, and, when nobody began there, flows towards it: for a service address, who answered for it.',
  request: {
    query: z.strictObject({
      address: z.string().max(100).openapi({ description: 'ADDRESS:PORT or [V6]:PORT' }),
      at: z
        .string()
        .max(100)
        .optional()
        .openapi({ description: `${AGO}; now` }),
      protocol: z.string().max(20).optional(),
      slack: z.coerce
        .number()
        .min(0)
        .max(86_400)
        .default(2)
        .openapi({ description: 'seconds by which the clock of who asks may be off' }),
    }),
  },
  responses: {
    200: json(
      z.object({
        at: z.string(),
        callers: z.array(flowSchema),
        listeners: z.array(listenerSchema),
        called: z.array(flowSchema),
      }),
      'nearest in time first',
    ),
    ...failures,
  },
});

export function who(api: Api, { store }: Context): void {
  const withPeers = async (flows: StoredFlow[]): Promise<Flow[]> => {
    const peers = await store.reader.call('peers', flows);
    return flows.map((flow, index) => toFlow(flow, peers[index] ?? null));
  };
  api.openapi(route, async (c) => {
    const { address, at, protocol, slack } = c.req.valid('query');
    const atUs = at === undefined ? nowUs() : parseTime(at, nowUs(), 'at');
    const answer = await store.reader.call('who', {
      ...parseEndpoint(address),
      protocol: parseProtocol(protocol),
      atUs,
      slackUs: slack * 1e6,
    });
    const [callers, called] = await Promise.all([withPeers(answer.callers), withPeers(answer.called)]);
    const listeners = answer.listeners.map(showListener);
    return c.json({ at: new Date(atUs / 1000).toISOString(), callers, listeners, called }, 200);
  });
}
