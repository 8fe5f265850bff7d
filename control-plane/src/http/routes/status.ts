// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { timeText } from '../../flows/record.js';
import { VERSION } from '../../version.js';
import type { Api, Context } from '../context.js';
import { sumLosses } from '../losses.js';
import { failures, json, lostSchema } from '../schemas.js';

const status = createRoute({
  method: 'get',
  path: '/v1/status',
  summary: 'How the server is',
  responses: {
    200: json(
      z.object({
        version: z.string(),
        startedAt: z.string(),
        generation: z.number(),
        store: z.object({
          id: z.string().openapi({ description: 'agents keep to the store that their policy is from' }),
          folder: z.string(),
          days: z.number(),
          bytes: z.number(),
          oldestDay: z.string().nullable(),
          writable: z.boolean(),
          error: z.string().nullable(),
          setAside: z.array(z.string()),
        }),
        nodes: z.object({ connected: z.number(), known: z.number() }),
        flows: z.object({ stored: z.number() }),
        lost: lostSchema,
      }),
      'status',
    ),
    ...failures,
  },
});

export async function readStatus({ store, rollout, agents, dataFolder, startedUs }: Context) {
  const [summary, losses, nodes] = await Promise.all([
    store.reader.call('summary'),
    store.reader.call('losses'),
    store.reader.call('nodes'),
  ]);
  return {
    version: VERSION,
    startedAt: timeText(startedUs),
    generation: rollout.generation,
    store: {
      id: agents.storeId,
      folder: dataFolder,
      days: summary.days,
      bytes: summary.bytes,
      oldestDay: summary.oldestDay,
      writable: store.trouble === null,
      error: store.trouble,
      setAside: [...summary.setAside],
    },
    nodes: { connected: agents.connected, known: nodes.length },
    flows: { stored: summary.flows },
    lost: sumLosses(losses),
  };
}

export function statusRoutes(api: Api, context: Context): void {
  api.openapi(status, async (c) => c.json(await readStatus(context), 200));
  // Alive: the process answers. Ready: it can take flows.
  api.get('/healthz', (c) => c.text('ok\n'));
  api.get('/readyz', (c) =>
    context.store.trouble === null ? c.text('ok\n') : c.text(`${context.store.trouble}\n`, 503),
  );
}
