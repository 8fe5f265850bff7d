// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { protocolName, timeText } from '../../flows/record.js';
import type { Conflict } from '../../learn/index.js';
import { type Api, type Context, nowUs } from '../context.js';
import { coverageSchema, shownCoverage } from '../coverage.js';
import { AGO, failures, json } from '../schemas.js';
import { timesOf } from '../times.js';

const MOST_NETWORKS = 1000;
const MOST_PORTS = 1000;
const MOST_NAMES = 1000;

const flow = {
  container: z.string().openapi({ description: 'the workload container' }),
  direction: z.enum(['egress', 'ingress']),
  peer: z.string(),
  protocol: z.string(),
  port: z.number(),
  flows: z.number(),
};
const route = createRoute({
  method: 'get',
  path: '/v1/policies/learn',
  summary: 'Policies that accept what was seen',
  description:
    'One for each workload container, as YAML for review. What was refused, seen once or never answered is listed apart and accepted by nothing.',
  request: {
    query: z.strictObject({
      namespace: z.string().max(253).optional().openapi({ description: 'of the containers; all when left out' }),
      since: z.string().max(100).default('7d').openapi({ description: AGO }),
      until: z.string().max(100).optional().openapi({ description: 'as since; now' }),
      mode: z.enum(['Audit', 'Enforce']).default('Audit'),
      networks: z.coerce.number().int().min(1).max(MOST_NETWORKS).default(16).openapi({
        description: 'of one rule and family, at most; more addresses are put together',
      }),
      ports: z.coerce.number().int().min(1).max(MOST_PORTS).default(16).openapi({
        description: 'of one peer, named one by one; more are one range',
      }),
      names: z.coerce.number().int().min(2).max(MOST_NAMES).optional().openapi({
        description: 'from so many names below one domain on, "*." and the domain; never when left out',
      }),
    }),
  },
  responses: {
    200: json(
      z.object({
        coverage: coverageSchema,
        policies: z.array(
          z.object({
            key: z.string(),
            replaces: z.boolean().openapi({ description: 'a policy of this name is there already' }),
            workload: z.string(),
            rules: z.number(),
            flows: z.number(),
            unseen: z.number().openapi({ description: 'destinations that it accepts and that nobody went to' }),
          }),
        ),
        apart: z.array(
          z.object({
            ...flow,
            first: z.string(),
            last: z.string(),
            reason: z.enum(['denied', 'one-off', 'never-answered', 'protocol', 'unnamed']),
          }),
        ),
        conflicts: z.array(z.object({ ...flow, rule: z.string() })).openapi({
          description: 'accepted by what was learned, and refused by a policy that is there already',
        }),
        yaml: z.string(),
      }),
      'what was learned',
    ),
    ...failures,
  },
});

const shownFlow = ({
  namespace,
  workload,
  container,
  direction,
  peer,
  protocol,
  port,
  flows,
}: Omit<Conflict, 'rule'>) => ({
  container: [namespace, workload, container].filter((part) => part !== '').join('/'),
  direction,
  peer,
  protocol: protocolName(protocol),
  port,
  flows,
});

/** Read and learned by the thread for long questions: neither agents nor other questions wait for it. */
export function policyLearn(api: Api, { store, rollout }: Context): void {
  api.openapi(route, async (c) => {
    const { namespace, since, until, names, ...options } = c.req.valid('query');
    const now = nowUs();
    const times = timesOf({ since, until }, now);
    const namespaces = namespace === undefined ? null : [namespace];
    const learned = await store.exporter.call(
      'learned',
      times,
      { ...options, namespaces, names: names ?? null },
      rollout.world(),
      now,
    );
    return c.json(
      {
        coverage: shownCoverage(learned.coverage),
        policies: learned.policies.map((it) => ({ ...it })),
        apart: learned.apart.map(({ firstUs, lastUs, reason, ...it }) => ({
          ...shownFlow(it),
          first: timeText(firstUs),
          last: timeText(lastUs),
          reason,
        })),
        conflicts: learned.conflicts.map(({ rule, ...it }) => ({ ...shownFlow(it), rule })),
        yaml: learned.yaml,
      },
      200,
    );
  });
}
