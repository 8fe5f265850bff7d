// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { timeText } from '../../flows/record.js';
import { type Policy, policyKey, selects } from '../../policy/index.js';
import type { StoredPolicy } from '../../store/state.js';
import type { Api, Context } from '../context.js';
import { failures, json, policySchema } from '../schemas.js';

const keyParameters = z.object({
  namespace: z.string().openapi({ description: '"-" for policies without one' }),
  name: z.string(),
});

const list = createRoute({
  method: 'get',
  path: '/v1/policies',
  summary: 'All policies',
  responses: {
    200: json(z.object({ policies: z.array(policySchema), generation: z.number() }), 'by key'),
    ...failures,
  },
});
const get = createRoute({
  method: 'get',
  path: '/v1/policies/{namespace}/{name}',
  summary: 'One policy',
  request: { params: keyParameters },
  responses: { 200: json(policySchema, 'the policy'), ...failures },
});
const put = createRoute({
  method: 'put',
  path: '/v1/policies',
  summary: 'Create or replace policies: all that the body holds, or none',
  request: {
    query: z.strictObject({
      dryRun: z.enum(['true', 'false']).default('false'),
      source: z.string().max(300).default('body').openapi({ description: 'name of the input in errors' }),
    }),
    body: {
      required: true,
      content: {
        'application/yaml': { schema: { type: 'string' } },
        'application/json': { schema: { type: 'object' } },
      },
    },
  },
  responses: {
    200: json(
      z.object({
        applied: z.array(z.object({ key: z.string(), change: z.string() })),
        generation: z.number(),
        warnings: z.array(z.string()),
      }),
      'what was done',
    ),
    ...failures,
  },
});
const remove = createRoute({
  method: 'delete',
  path: '/v1/policies/{namespace}/{name}',
  summary: 'Delete a policy',
  request: { params: keyParameters },
  responses: { 200: json(z.object({ generation: z.number() }), 'the new generation'), ...failures },
});

function show(stored: StoredPolicy) {
  const document = JSON.parse(stored.document) as { spec?: { mode?: string } };
  return {
    key: stored.key,
    namespace: stored.namespace,
    name: stored.name,
    mode: document.spec?.mode ?? 'Enforce',
    generation: stored.generation,
    createdAt: timeText(stored.createdUs),
    updatedAt: timeText(stored.updatedUs),
    document: document as Record<string, unknown>,
  };
}

const keyOf = ({ namespace, name }: { namespace: string; name: string }) =>
  namespace === '-' ? name : `${namespace}/${name}`;

export function policies(api: Api, { store, rollout, log }: Context): void {
  /** A policy for nothing is mostly a misspelt one. */
  async function idle(applied: readonly Policy[]): Promise<string[]> {
    const rows = await store.reader.call('containers', false);
    const running = rows.map((row) => ({
      namespace: row.namespace,
      pod: row.pod,
      name: row.container,
      labels: JSON.parse(row.labels) as Record<string, string>,
    }));
    return applied
      .filter((policy) => !running.some((container) => selects(policy, container)))
      .map((policy) => `${policyKey(policy)} selects no container that runs now`);
  }

  api.openapi(list, (c) => c.json({ policies: rollout.policies().map(show), generation: rollout.generation }, 200));
  api.openapi(get, (c) => {
    const key = keyOf(c.req.valid('param'));
    const found = rollout.policies().find((policy) => policy.key === key);
    if (!found) throw new CellwallError('not_found', `there is no policy ${key}`);
    return c.json(show(found), 200);
  });
  api.openapi(put, async (c) => {
    const { dryRun, source } = c.req.valid('query');
    const { policies, ...done } = await rollout.apply(await c.req.text(), source, dryRun === 'true');
    if (dryRun === 'false') log.info(done, 'policies applied');
    return c.json({ ...done, warnings: await idle(policies) }, 200);
  });
  api.openapi(remove, async (c) => {
    const key = keyOf(c.req.valid('param'));
    const generation = await rollout.delete(key);
    log.info({ key, generation }, 'policy deleted');
    return c.json({ generation }, 200);
  });
}
