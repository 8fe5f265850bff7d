// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { timeText } from '../../flows/record.js';
import { KINDS, type Kind, type Selection, selects } from '../../policy/index.js';
import type { StoredPolicy } from '../../store/policies.js';
import type { Api, Context } from '../context.js';
import { policyKeyAt } from '../policy_keys.js';
import { failures, json, policySchema } from '../schemas.js';

const one = {
  params: z.object({
    namespace: z.string().openapi({ description: '"-" for documents without one' }),
    name: z.string(),
  }),
  query: z.strictObject({ kind: z.enum(KINDS).default('ContainerPolicy') }),
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
    generation: stored.generation,
    createdAt: timeText(stored.createdUs),
    updatedAt: timeText(stored.updatedUs),
    document: document as unknown as Record<string, unknown>,
  };
}

export function policies(api: Api, { store, rollout, log }: Context): void {
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
    const { selections, ...done } = await rollout.apply(await c.req.text(), source, dryRun === 'true');
    const { generation } = done;
    if (dryRun === 'false')
      log.info({ applied: done.applied.map(({ key, change }) => ({ key, change })), generation }, 'policies applied');
    const applied = done.applied.map(({ before, after, ...rest }) => ({
      ...rest,
      before: before === null ? null : plainDocument(before),
      after: plainDocument(after),
    }));
    return c.json({ applied, generation, warnings: await idle(selections) }, 200);
  });
  api.openapi(remove, async (c) => {
    const key = policyKeyAt(c.req.valid('query').kind, c.req.valid('param'));
    const generation = await rollout.delete(key);
    log.info({ key, generation }, 'policy deleted');
    return c.json({ generation }, 200);
  });
}
