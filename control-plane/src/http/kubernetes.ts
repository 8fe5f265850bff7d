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
  statuses: z.object({ waiting: z.number(), written: z.number(), events: z.number(), failures: z.number() }),
});

export function shownKubernetes(informers: Informers | undefined): z.output<typeof kubernetesSchema> | null {
  if (!informers) return null;
  const { collections, status } = informers;
  const problems = [...collections.map(({ problem }) => problem), status.problem];
  return {
    problems: problems.filter((it) => it !== null),
    collections: collections.map(({ resource, state, size, counts }) => ({
      resource: resource.name,
      state,
      objects: size,
      ...counts,
    })),
    statuses: { waiting: status.waiting, ...status.counts },
  };
}
