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
        audit: z.object({ count: z.number(), hash: z.string() }).openapi({
          description: 'the last entry of the audit log; keep it elsewhere, and verify against it',
        }),
        access: z.object({
          denials: z.number(),
          requestsLimited: z.number(),
          questionsRefused: z.number(),
          streams: z.number(),
          streamsRefused: z.number(),
          slowReadersDropped: z.number(),
        }),
      }),
      'status',
    ),
    ...failures,
  },
});

export async function readStatus(context: Context) {
  const { store, rollout, agents, access, counts, dataFolder, startedUs } = context;
  const [summary, losses, nodes, audit] = await Promise.all([
    store.reader.call('summary'),
    store.reader.call('losses'),
    store.reader.call('nodes'),
    store.reader.call('auditHead'),
  ]);
  return {
    version: VERSION,
    startedAt: timeText(startedUs),
    generation: rollout.generation,
    store: {
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
    audit,
    access: { denials: access.denials.count, questionsRefused: store.reader.turns.refused, ...counts },
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
