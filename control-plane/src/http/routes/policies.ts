// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { stringify } from 'yaml';
import { CellwallError } from '../../errors.js';
import { timeText } from '../../flows/record.js';
import { ALL_KINDS, type Kind, type Selection, selects } from '../../policy/index.js';
import type { StoredPolicy } from '../../store/policies.js';
import type { Api, Context } from '../context.js';
import { auditOf, countsOf, effectOrWhy, effectSchema, shownEffect } from '../effects.js';
import { policyKeyAt } from '../policy_keys.js';
import { documentsBody, documentsSource, failures, json, policySchema } from '../schemas.js';

const one = {
  params: z.object({
    namespace: z.string().openapi({ description: '"-" for documents without one' }),
    name: z.string(),
  }),
  query: z.strictObject({ kind: z.enum(ALL_KINDS).default('ContainerPolicy') }),
};

const list = createRoute({
  method: 'get',
  path: '/v1/policies',
  summary: 'All policies and observations',
  responses: {
    200: json(z.object({ policies: z.array(policySchema), generation: z.number() }), 'by key'),
    ...failures,
  },
});
const get = createRoute({
  method: 'get',
  path: '/v1/policies/{namespace}/{name}',
  summary: 'One policy or observation',
  request: one,
  responses: { 200: json(policySchema, 'the document'), ...failures },
});
const put = createRoute({
  method: 'put',
  path: '/v1/policies',
  summary: 'Create or replace policies and observations: all that the body holds, or none',
  request: {
    query: z.strictObject({
      dryRun: z.enum(['true', 'false']).default('false'),
      source: documentsSource,
    }),
    body: documentsBody,
  },
  responses: {
    200: json(
      z.object({
        applied: z.array(
          z.object({
            key: z.string(),
            change: z.string(),
            before: z.record(z.string(), z.unknown()).nullable(),
            after: z.record(z.string(), z.unknown()),
          }),
        ),
        generation: z.number(),
        warnings: z.array(z.string()),
        effect: effectSchema
          .nullable()
          .openapi({ description: 'on the flows of the last day; null: no policy changes' }),
      }),
      'what was done',
    ),
    ...failures,
  },
});
const remove = createRoute({
  method: 'delete',
  path: '/v1/policies/{namespace}/{name}',
  summary: 'Delete a policy or an observation',
  request: one,
  responses: { 200: json(z.object({ generation: z.number() }), 'the new generation'), ...failures },
});

interface Document {
  readonly kind: Kind;
  readonly spec?: { readonly mode?: string };
}

const plainDocument = (text: string) => JSON.parse(text) as Record<string, unknown>;

export function showPolicy(stored: StoredPolicy) {
  const document = JSON.parse(stored.document) as Document;
  return {
    key: stored.key,
    kind: document.kind,
    namespace: stored.namespace,
    name: stored.name,
    mode: document.kind === 'ContainerObservation' ? null : (document.spec?.mode ?? 'Enforce'),
    keptIn: stored.origin === '' ? ('cellwall' as const) : ('kubernetes' as const),
    generation: stored.generation,
    createdAt: timeText(stored.createdUs),
    updatedAt: timeText(stored.updatedUs),
    document: document as unknown as Record<string, unknown>,
    text: stored.text || stringify(document),
  };
}

export function policies(api: Api, context: Context): void {
  const { store, rollout, log } = context;
  /** A document about nothing is mostly a misspelt one. */
  async function idle(selections: ReadonlyMap<string, Selection>): Promise<string[]> {
    const rows = await store.reader.call('containers', false);
    const running = rows.map((row) => ({
      namespace: row.namespace,
      pod: row.pod,
      name: row.container,
      image: row.image,
      labels: JSON.parse(row.labels) as Record<string, string>,
    }));
    return [...selections]
      .filter(([, selection]) => !running.some((container) => selects(selection, container)))
      .map(([key]) => `${key} selects no container that runs now`);
  }

  api.openapi(list, (c) =>
    c.json({ policies: rollout.documents().map(showPolicy), generation: rollout.generation }, 200),
  );
  api.openapi(get, (c) => {
    const key = policyKeyAt(c.req.valid('query').kind, c.req.valid('param'));
    const found = rollout.documents().find((document) => document.key === key);
    if (!found) throw new CellwallError('not_found', `there is no policy ${key}`);
    return c.json(showPolicy(found), 200);
  });
  api.openapi(put, async (c) => {
    const { dryRun, source } = c.req.valid('query');
    const plan = rollout.plan(await c.req.text(), source);
    const effect = await effectOrWhy(context, plan);
    const caller = c.get('caller');
    const done =
      dryRun === 'true'
        ? plan
        : await rollout.apply(plan, { audit: auditOf(plan, caller, 'policy.apply', countsOf(effect)) });
    const { generation, selections } = done;
    if (dryRun === 'false')
      log.info(
        { actor: caller.actor, applied: done.applied.map(({ key, change }) => ({ key, change })), generation },
        'policies applied',
      );
    const applied = done.applied.map(({ before, after, ...rest }) => ({
      ...rest,
      before: before === null ? null : plainDocument(before),
      after: plainDocument(after),
    }));
    const warnings = await idle(selections);
    if (typeof effect === 'string') warnings.push(`no dry run over recorded flows: ${effect}`);
    const shown = effect === null || typeof effect === 'string' ? null : shownEffect(effect);
    return c.json({ applied, generation, warnings, effect: shown }, 200);
  });
  api.openapi(remove, async (c) => {
    const key = policyKeyAt(c.req.valid('query').kind, c.req.valid('param'));
    const caller = c.get('caller');
    const plan = rollout.planDelete(key);
    const audit = auditOf(plan, caller, 'policy.delete', countsOf(await effectOrWhy(context, plan)));
    const generation = await rollout.delete(key, audit);
    log.info({ actor: caller.actor, key, generation }, 'policy deleted');
    return c.json({ generation }, 200);
  });
}
