// SPDX-License-Identifier: Apache-2.0
//
// Changes tried on recorded flows: here, or elsewhere with what this server knows.
import { createRoute, z } from '@hono/zod-openapi';
import { type Resident, recordOf } from '../../flows/world_record.js';
import { simulate } from '../../rollout/simulation.js';
import { type Api, type Context, nowUs } from '../context.js';
import { effectSchema, shownEffect } from '../effects.js';
import { AGO, documentsBody, documentsSource, failures, json } from '../schemas.js';
import { timesOf } from '../times.js';

const time = (fallback: string) => z.string().max(100).default(fallback).openapi({ description: AGO });
const until = z.string().max(100).optional().openapi({ description: 'as since; now' });

const simulation = createRoute({
  method: 'post',
  path: '/v1/policies/simulation',
  summary: 'What policies would have done to recorded flows; nothing is changed',
  request: {
    query: z.strictObject({
      since: time('1d'),
      until,
      source: documentsSource,
    }),
    body: documentsBody,
  },
  responses: {
    200: json(
      z.object({
        applied: z.array(z.object({ key: z.string(), change: z.string() })),
        generation: z.number().openapi({ description: 'of the policies that it is compared with' }),
        effect: effectSchema,
      }),
      'the current policies, and what the body would change',
    ),
    ...failures,
  },
});

const world = createRoute({
  method: 'get',
  path: '/v1/world',
  summary: 'What recorded flows are judged by: containers, nodes, services and the policies in force',
  description: 'The first line of `cellwall export --world`, for a simulation without a server.',
  request: { query: z.strictObject({ since: time('1d'), until }) },
  responses: {
    200: json(z.record(z.string(), z.unknown()), 'a WorldRecord of flows/world_record.ts'),
    ...failures,
  },
});

export function simulations(api: Api, { store, rollout }: Context): void {
  api.openapi(simulation, async (c) => {
    const { source, ...query } = c.req.valid('query');
    const { sinceUs, untilUs } = timesOf(query, nowUs());
    const plan = rollout.plan(await c.req.text(), source);
    const effect = await simulate(store, plan, sinceUs, untilUs);
    const applied = plan.applied.map(({ key, change }) => ({ key, change }));
    return c.json({ applied, generation: plan.generation, effect: shownEffect(effect) }, 200);
  });
  api.openapi(world, async (c) => {
    const times = timesOf(c.req.valid('query'), nowUs());
    const { sinceUs, untilUs } = times;
    const known = rollout.world();
    const ports = new Map(
      known.containers.map((it) => [[it.node, it.namespace, it.pod, it.name].join('\0'), it.ports]),
    );
    const rows = (await store.reader.call('containers', true)).filter(
      (it) => it.goneUs === null || (it.firstUs <= untilUs && it.goneUs >= sinceUs),
    );
    const residents = rows.map(
      (it): Resident => ({
        node: it.node,
        namespace: it.namespace,
        pod: it.pod,
        name: it.container,
        image: it.image,
        labels: JSON.parse(it.labels) as Record<string, string>,
        addresses: JSON.parse(it.addresses) as string[],
        ports: ports.get([it.node, it.namespace, it.pod, it.container].join('\0')) ?? [],
        firstUs: it.firstUs,
        goneUs: it.goneUs,
      }),
    );
    const documents = rollout.documents().map((it) => JSON.parse(it.document) as unknown);
    const record: Record<string, unknown> = { ...recordOf(known, documents, residents, times) };
    return c.json(record, 200);
  });
}
