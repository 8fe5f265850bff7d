// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { displayName, timeText } from '../../flows/record.js';
import { workloadOf } from '../../flows/workload.js';
import type { Api, Context } from '../context.js';
import { containerSchema, failures, json } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/containers',
  summary: 'Containers that agents have seen',
  request: {
    query: z.strictObject({
      namespace: z.string().optional(),
      pod: z.string().optional(),
      name: z.string().optional(),
      node: z.string().optional(),
      gone: z.enum(['true', 'false']).default('false').openapi({ description: 'also those that are gone' }),
    }),
  },
  responses: {
    200: json(z.object({ containers: z.array(containerSchema) }), 'by namespace, pod and name'),
    ...failures,
  },
});

export function containers(api: Api, { store, rollout }: Context): void {
  api.openapi(route, async (c) => {
    const wanted = c.req.valid('query');
    const rows = await store.reader.call('containers', wanted.gone === 'true');
    const found = rows.filter(
      (row) =>
        (wanted.namespace ?? row.namespace) === row.namespace &&
        (wanted.pod ?? row.pod) === row.pod &&
        (wanted.name ?? row.container) === row.container &&
        (wanted.node ?? row.node) === row.node,
    );
    return c.json(
      {
        containers: found.map(({ firstUs, lastUs, goneUs, ...row }) => {
          const labels = JSON.parse(row.labels) as Record<string, string>;
          const { namespace, pod, container: name, image } = row;
          const known = { namespace, pod, name, image, labels };
          return {
            ...row,
            name: displayName(row),
            workload: workloadOf({ ...row, labels }),
            labels,
            addresses: JSON.parse(row.addresses) as string[],
            firstSeen: timeText(firstUs),
            lastSeen: timeText(lastUs),
            gone: goneUs === null ? null : timeText(goneUs),
            policies: rollout.selecting(known),
            observed: rollout.observing(known),
          };
        }),
      },
      200,
    );
  });
}
