// SPDX-License-Identifier: Apache-2.0
//
// Versions of policies that are tried beside those in force.
import { createRoute, z } from '@hono/zod-openapi';
import { parseTime } from '../../flows/filter.js';
import { timeText } from '../../flows/record.js';
import { ALL_KINDS } from '../../policy/index.js';
import type { StagedPolicy } from '../../store/staged.js';
import { type Api, type Context, nowUs } from '../context.js';
import { auditOf, effectFor, effectSchema, shownEffect } from '../effects.js';
import { policyKeyAt } from '../policy_keys.js';
import { AGO, documentsBody, documentsSource, failures, json } from '../schemas.js';

const schema = z
  .object({
    key: z.string(),
    author: z.string(),
    since: z.string(),
    change: z.enum(['created', 'updated', 'unchanged']).openapi({ description: 'what promoting it would do' }),
    text: z.string().openapi({ description: 'as it was written, with comments' }),
  })
  .openapi('StagedPolicy');
const params = z.object({
  namespace: z.string().openapi({ description: '"-" for policies without one' }),
  name: z.string(),
});
const kind = z.enum(ALL_KINDS).default('ContainerPolicy');

const list = createRoute({
  method: 'get',
  path: '/v1/staged',
  summary: 'Versions of policies that are tried beside those in force',
  responses: { 200: json(z.object({ staged: z.array(schema) }), 'by key'), ...failures },
});
const stage = createRoute({
  method: 'put',
  path: '/v1/staged',
  summary: 'Try versions of policies beside those in force: all that the body holds, or none',
  description:
    'No agent is told of them. Flows show what they would come to, and promoting one is applying its text. A version that is staged already is replaced.',
  request: { query: z.strictObject({ source: documentsSource }), body: documentsBody },
  responses: {
    200: json(z.object({ staged: z.array(z.object({ key: z.string(), change: z.string() })) }), 'what was staged'),
    ...failures,
  },
});
const get = createRoute({
  method: 'get',
  path: '/v1/staged/{namespace}/{name}',
  summary: 'One staged version, and what it would have done since',
  request: {
    params,
    query: z.strictObject({
      kind,
      since: z
        .string()
        .max(100)
        .optional()
        .openapi({ description: `of the flows: ${AGO}; when it was staged, when left out` }),
    }),
  },
  responses: {
    200: json(
      schema.extend({ effect: effectSchema.nullable().openapi({ description: 'null: it is in force already' }) }),
      'the version',
    ),
    ...failures,
  },
});
const remove = createRoute({
  method: 'delete',
  path: '/v1/staged/{namespace}/{name}',
  summary: 'Give up a staged version',
  request: { params, query: z.strictObject({ kind }) },
  responses: { 200: json(z.object({ key: z.string() }), 'done'), ...failures },
});

export function stagedPolicies(api: Api, context: Context): void {
  const { rollout, staging, log } = context;
  const show = ({ key, author, stagedUs, text, document }: StagedPolicy) => {
    const standing = rollout.document(key)?.document;
    const change = standing === undefined ? ('created' as const) : standing === document ? 'unchanged' : 'updated';
    return { key, author, since: timeText(stagedUs), change: change as 'created' | 'updated' | 'unchanged', text };
  };

  api.openapi(list, async (c) => c.json({ staged: (await staging.all()).map(show) }, 200));
  api.openapi(stage, async (c) => {
    const { source } = c.req.valid('query');
    const caller = c.get('caller');
    const plan = rollout.plan(await c.req.text(), source);
    await staging.put(plan, caller.actor, auditOf(plan, caller, 'policy.stage', {}));
    const staged = plan.applied.map(({ key, change }) => ({ key, change }));
    log.info({ actor: caller.actor, staged }, 'policies staged');
    return c.json({ staged }, 200);
  });
  api.openapi(get, async (c) => {
    const { kind, since } = c.req.valid('query');
    const found = await staging.one(policyKeyAt(kind, c.req.valid('param')));
    const sinceUs = since === undefined ? found.stagedUs : parseTime(since, nowUs(), 'since');
    const effect = await effectFor(context, rollout.plan(found.text, found.key), sinceUs);
    return c.json({ ...show(found), effect: effect && shownEffect(effect) }, 200);
  });
  api.openapi(remove, async (c) => {
    const key = policyKeyAt(c.req.valid('query').kind, c.req.valid('param'));
    const { actor, address } = c.get('caller');
    await staging.remove(key, { actor, action: 'policy.unstage', subject: key, details: { address } });
    return c.json({ key }, 200);
  });
}
