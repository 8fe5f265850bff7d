// SPDX-License-Identifier: Apache-2.0
//
// How far the server is in step with Kubernetes.
import { z } from '@hono/zod-openapi';
import type { Informers } from '../kubernetes/informers.js';

export const kubernetesSchema = z.object({
  problems: z.array(z.string()).openapi({ description: 'what is missing, such as rights, by name' }),
  collections: z.array(
    z.object({
      resource: z.string(),
      state: z.enum(['starting', 'current', 'unreachable', 'forbidden', 'missing']),
      objects: z.number(),
      lists: z.number(),
      watches: z.number(),
      events: z.number(),
      forgotten: z.number().openapi({ description: 'how often the API server had forgotten the version (410)' }),
      failures: z.number(),
      unreadable: z.number(),
    }),
  ),
  networkPolicies: z
    .object({
      read: z.number(),
      refused: z.number().openapi({ description: 'that cannot be said as a policy' }),
      incomplete: z.number().openapi({ description: 'of which a part is left out' }),
      events: z.number(),
      failures: z.number().openapi({ description: 'of writing events' }),
    })
    .openapi({ description: 'those of Kubernetes, with --network-policies audit' }),
  statuses: z.object({ waiting: z.number(), written: z.number(), events: z.number(), failures: z.number() }),
});

export function shownKubernetes(informers: Informers | undefined): z.output<typeof kubernetesSchema> | null {
  if (!informers) return null;
  const { collections, status, events, networkPolicies } = informers;
  const problems = [...collections.map(({ problem }) => problem), status.problem, events.problem];
  return {
    problems: problems.filter((it) => it !== null),
    collections: collections.map(({ resource, state, size, counts }) => ({
      resource: resource.name,
      state,
      objects: size,
      ...counts,
    })),
    networkPolicies: { ...networkPolicies.counts, events: events.counts.written, failures: events.counts.failures },
    statuses: { waiting: status.waiting, ...status.counts },
  };
}
