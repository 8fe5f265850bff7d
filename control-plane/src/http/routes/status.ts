// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { timeText } from '../../flows/record.js';
import { VERSION } from '../../version.js';
import type { Api, Context } from '../context.js';
import { kubernetesSchema, shownKubernetes } from '../kubernetes.js';
import { sumLosses } from '../losses.js';
import { failures, json, lostSchema } from '../schemas.js';
import { backupSchema, shownBackup } from './backup.js';

const MOST_OUTAGES_SHOWN = 10;

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
          maxBytes: z.number(),
          lastStop: z.enum(['none', 'clean', 'crash']).openapi({ description: 'how the server before this one ended' }),
          integrity: z.object({
            waiting: z.number().openapi({ description: 'files that are still to be read' }),
            checked: z.array(
              z.object({
                file: z.string(),
                result: z.enum(['ok', 'newest', 'damaged']),
                problem: z.string(),
                ms: z.number(),
              }),
            ),
          }),
          outages: z
            .array(z.object({ from: z.string(), to: z.string().nullable(), cause: z.string() }))
            .openapi({ description: 'when flows could not be stored; newest first' }),
          backup: backupSchema.nullable(),
        }),
        nodes: z.object({ connected: z.number(), known: z.number() }),
        kubernetes: kubernetesSchema
          .nullable()
          .openapi({ description: 'null: the server keeps in step with no cluster' }),
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
          connectionsEvicted: z.number(),
        }),
      }),
      'status',
    ),
    ...failures,
  },
});

export async function readStatus(context: Context) {
  const { store, rollout, agents, access, counts, connections, dataFolder, startedUs } = context;
  const [summary, losses, nodes, audit, outages] = await Promise.all([
    store.reader.call('summary'),
    store.reader.call('losses'),
    store.reader.call('nodes'),
    store.reader.call('auditHead'),
    store.reader.call('outages', MOST_OUTAGES_SHOWN),
  ]);
  const { lastStop, waiting, checked } = store.upkeep.integrity;
  const { backup } = store.upkeep;
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
      maxBytes: store.maxBytes,
      lastStop,
      integrity: { waiting, checked: [...checked] },
      outages: outages.map((it) => ({
        from: timeText(it.beganUs),
        to: it.endedUs === null ? null : timeText(it.endedUs),
        cause: it.cause,
      })),
      backup: backup && shownBackup(backup),
    },
    nodes: { connected: agents.connected, known: nodes.length },
    kubernetes: shownKubernetes(context.informers),
    flows: { stored: summary.flows },
    lost: sumLosses(losses),
    audit,
    access: {
      denials: access.denials.count,
      questionsRefused: store.reader.turns.refused,
      connectionsEvicted: connections.evicted,
      ...counts,
    },
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
