// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { protocolName, timeText } from '../../flows/record.js';
import type { Drift } from '../../learn/index.js';
import { type Api, type Context, nowUs } from '../context.js';
import { coverageSchema, shownCoverage } from '../coverage.js';
import { AGO, failures, json } from '../schemas.js';
import { timesOf } from '../times.js';

const direction = z.enum(['egress', 'ingress']);
const peerTime = z.object({ name: z.string(), first: z.string(), last: z.string() });

const route = createRoute({
  method: 'get',
  path: '/v1/policies/drift',
  summary: 'Where policies and what containers do have moved apart',
  description:
    'Rules that nothing used, policies that select nobody, what newer versions of a workload do that no rule accepts, and names, services and addresses that lead to another workload; with the policies as they could be.',
  request: {
    query: z.strictObject({
      namespace: z
        .string()
        .max(253)
        .optional()
        .openapi({ description: 'of containers and policies; all when left out' }),
      since: z.string().max(100).default('7d').openapi({ description: AGO }),
      until: z.string().max(100).optional().openapi({ description: 'as since; now' }),
      unused: z
        .string()
        .max(100)
        .default('30d')
        .openapi({
          description: `since when rules have to have decided something: ${AGO}`,
        }),
    }),
  },
  responses: {
    200: json(
      z.object({
        coverage: coverageSchema,
        notes: z.array(z.string()).openapi({ description: 'what there is to know of this answer, a sentence each' }),
        policies: z.number().openapi({ description: 'that were looked at' }),
        containers: z.number().openapi({ description: 'that were there in that time' }),
        unusedSince: z.string(),
        unusedFirst: z.string().nullable().openapi({
          description: 'not null: the record begins only then, so no rule is called unused',
        }),
        young: z
          .number()
          .openapi({ description: 'rules that nothing used and that are too young to be called unused' }),
        unused: z.array(
          z.object({ policy: z.string(), rule: z.string(), direction, action: z.enum(['Accept', 'Deny']) }),
        ),
        empty: z.array(z.object({ policy: z.string(), changed: z.string() })).openapi({
          description: 'policies that selected no container in that time',
        }),
        releases: z.array(
          z.object({
            container: z.string().openapi({ description: 'the workload container' }),
            before: z.string().openapi({ description: 'image and release' }),
            now: z.string(),
            since: z.string(),
            known: z.number().openapi({ description: 'different connections of the versions before' }),
            kept: z.number().openapi({ description: 'of these, that this version makes, too' }),
            covered: z.number().openapi({ description: 'new ones that a rule accepts' }),
            flows: z.array(
              z.object({
                direction,
                peer: z.string(),
                protocol: z.string(),
                port: z.number(),
                flows: z.number(),
                first: z.string(),
                last: z.string(),
                verdict: z.enum(['allowed', 'denied', 'audit', 'unknown']),
                rule: z.string().nullable().openapi({ description: 'that refuses it; null: no policy is about it' }),
                patched: z.boolean().openapi({ description: 'the patch accepts it' }),
              }),
            ),
          }),
        ),
        peers: z.array(
          z.object({
            container: z.string(),
            kind: z.enum(['name', 'service', 'address']),
            to: z.string(),
            protocol: z.string(),
            port: z.number(),
            before: peerTime,
            now: peerTime,
            instead: z.boolean().openapi({ description: 'false: it leads to both' }),
          }),
        ),
        patches: z.array(z.object({ policy: z.string(), added: z.number(), removed: z.number(), yaml: z.string() })),
        more: z
          .object({
            unused: z.number(),
            empty: z.number(),
            releases: z.number(),
            peers: z.number(),
            patches: z.number(),
          })
          .openapi({ description: 'that are left out' }),
        unasked: z.number().openapi({ description: 'connections that there was no time to judge' }),
        unnamed: z.object({ containers: z.number(), flows: z.number() }).openapi({
          description: 'containers without a name, of which nothing can be said',
        }),
      }),
      'what was found',
    ),
    ...failures,
  },
});

const shownTime = ({ name, firstUs, lastUs }: Drift['peers'][number]['now']) => ({
  name,
  first: timeText(firstUs),
  last: timeText(lastUs),
});

export const shownDrift = ({ coverage, unusedSinceUs, unusedFirstUs, empty, releases, peers, ...rest }: Drift) => ({
  ...rest,
  coverage: shownCoverage(coverage),
  unusedSince: timeText(unusedSinceUs),
  unusedFirst: unusedFirstUs === null ? null : timeText(unusedFirstUs),
  unused: rest.unused.map((it) => ({ ...it })),
  empty: empty.map(({ policy, updatedUs }) => ({ policy, changed: timeText(updatedUs) })),
  releases: releases.map(({ sinceUs, flows, ...it }) => ({
    ...it,
    since: timeText(sinceUs),
    flows: flows.map(({ firstUs, lastUs, protocol, ...flow }) => ({
      ...flow,
      protocol: protocolName(protocol),
      first: timeText(firstUs),
      last: timeText(lastUs),
    })),
  })),
  peers: peers.map(({ before, now, protocol, ...it }) => ({
    ...it,
    protocol: protocolName(protocol),
    before: shownTime(before),
    now: shownTime(now),
  })),
  notes: [...rest.notes],
  patches: rest.patches.map((it) => ({ ...it })),
});

/** Found by the thread for long questions, as policies are learned. */
export function policyDrift(api: Api, { store, rollout }: Context): void {
  api.openapi(route, async (c) => {
    const { namespace = null, unused, ...query } = c.req.valid('query');
    const now = nowUs();
    const times = timesOf(query, now);
    const { sinceUs: unusedSinceUs } = timesOf({ since: unused, until: query.until }, now);
    const standing = rollout
      .documents()
      .map(({ key, text, document, createdUs, updatedUs }) => ({ key, text, document, createdUs, updatedUs }));
    const found = await store.exporter.call(
      'drift',
      { ...times, unusedSinceUs },
      namespace,
      standing,
      rollout.world(),
      now,
    );
    return c.json(shownDrift(found), 200);
  });
}
