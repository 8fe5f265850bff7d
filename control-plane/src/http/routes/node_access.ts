// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import type { Api, Context } from '../context.js';
import { failures, json } from '../schemas.js';

const params = z.object({ name: z.string().max(253) });

const revoke = createRoute({
  method: 'post',
  path: '/v1/nodes/{name}/revoke',
  summary: 'End the stream of a node, and refuse its certificates and renewals',
  request: { params },
  responses: { 200: json(z.object({ revoked: z.string() }), 'it is not let in any more'), ...failures },
});
const allow = createRoute({
  method: 'post',
  path: '/v1/nodes/{name}/allow',
  summary: 'Undo a revocation',
  request: {
    params,
    query: z.strictObject({
      newCertificate: z
        .enum(['true', 'false'])
        .default('false')
        .openapi({ description: 'true: certificates from before stay refused, the agent has to enrol anew' }),
    }),
  },
  responses: { 200: json(z.object({ allowed: z.string() }), 'it is let in again'), ...failures },
});

export function nodeAccess(api: Api, { agents }: Context): void {
  const { nodes } = agents.access;
  api.openapi(revoke, async (c) => {
    const { name } = c.req.valid('param');
    await nodes.revoke(name, c.get('caller').actor);
    return c.json({ revoked: name }, 200);
  });
  api.openapi(allow, async (c) => {
    const { name } = c.req.valid('param');
    await nodes.allow(name, c.req.valid('query').newCertificate === 'true', c.get('caller').actor);
    return c.json({ allowed: name }, 200);
  });
}
