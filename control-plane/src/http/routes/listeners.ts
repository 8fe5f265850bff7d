// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import type { Api, Context } from '../context.js';
import { showListener } from '../listeners.js';
import { failures, json, listenerSchema } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/listeners',
  summary: 'Ports that containers accept on',
  description: 'Agents report them together with open flows.',
  request: {
    query: z.strictObject({
      namespace: z.string().optional(),
      pod: z.string().optional(),
      name: z.string().optional(),
      node: z.string().optional(),
      port: z.coerce.number().int().min(1).max(65535).optional(),
      gone: z.enum(['true', 'false']).default('false').openapi({ description: 'also those that have stopped' }),
    }),
  },
  responses: {
    200: json(z.object({ listeners: z.array(listenerSchema) }), 'by namespace, pod and container'),
    ...failures,
  },
});

export function listeners(api: Api, { store }: Context): void {
  api.openapi(route, async (c) => {
    const wanted = c.req.valid('query');
    const rows = await store.reader.call('listeners', wanted.gone === 'true');
    const found = rows.filter(
      ({ container, port }) =>
        (wanted.namespace ?? container.namespace) === container.namespace &&
        (wanted.pod ?? container.pod) === container.pod &&
        (wanted.name ?? container.container) === container.container &&
        (wanted.node ?? container.node) === container.node &&
        (wanted.port ?? port) === port,
    );
    return c.json({ listeners: found.map(showListener) }, 200);
  });
}
