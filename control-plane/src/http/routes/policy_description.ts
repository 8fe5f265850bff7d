// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { parseTime } from '../../flows/filter.js';
import { timeText } from '../../flows/record.js';
import { ALL_KINDS, nameOf } from '../../policy/index.js';
import type { RuleUse } from '../../store/rule_use.js';
import { type Api, type Context, nowUs } from '../context.js';
import { policyKeyAt } from '../policy_keys.js';
import { failures, json, policySchema } from '../schemas.js';
import { showPolicy } from './policies.js';

const use = z.object({
  direction: z.enum(['egress', 'ingress']).nullable().openapi({ description: 'null: a rule that nobody wrote' }),
  name: z.string(),
  action: z.string().nullable(),
  allowed: z.number(),
  denied: z.number(),
  audit: z.number(),
  lastUsed: z.string().nullable(),
});

const route = createRoute({
  method: 'get',
  path: '/v1/policies/{namespace}/{name}/description',
  summary: 'Whom a policy selects, what each node enforces, and how often each rule decided',
  request: {
    params: z.object({ namespace: z.string(), name: z.string() }),
    query: z.strictObject({
      kind: z.enum(ALL_KINDS).default('ContainerPolicy'),
      since: z.string().max(100).default('7d').openapi({ description: 'of the decisions; by the hour' }),
    }),
  },
  responses: {
    200: json(
      z.object({
        policy: policySchema,
        since: z.string(),
        selects: z.array(z.object({ node: z.string(), name: z.string() })),
        nodes: z.array(
          z.object({
            name: z.string(),
            connected: z.boolean(),
            wanted: z.number(),
            applied: z.number(),
            error: z.string().nullable(),
            containers: z.number().openapi({ description: 'that the policy selects' }),
            compiled: z
              .object({ ruleSets: z.number(), entries: z.number() })
              .nullable()
              .openapi({ description: 'of the containers that it selects there, with all policies about them' }),
          }),
        ),
        rules: z.array(use),
      }),
      'rules in the order of the document, then those that nobody wrote',
    ),
    ...failures,
  },
});

interface Written {
  readonly name: string;
  readonly action: string;
}
interface Spec {
  readonly egress?: readonly Written[];
  readonly ingress?: readonly Written[];
}

function show(name: string, written: Partial<Written>, direction: 'egress' | 'ingress' | null, found?: RuleUse) {
  const { allowed = 0, denied = 0, audit = 0, lastUs } = found ?? {};
  const lastUsed = lastUs === undefined ? null : timeText(lastUs);
  return { direction, name, action: written.action ?? null, allowed, denied, audit, lastUsed };
}

/** Rules that were renamed or taken out have decided, too: they stand behind, with those that nobody wrote. */
function ruleList({ egress = [], ingress = [] }: Spec, uses: readonly RuleUse[]) {
  const found = new Map(uses.map((it) => [it.rule, it]));
  const written = [
    ...egress.map((rule) => show(rule.name, rule, 'egress', found.get(rule.name))),
    ...ingress.map((rule) => show(rule.name, rule, 'ingress', found.get(rule.name))),
  ];
  const known = new Set(written.map(({ name }) => name));
  return [...written, ...uses.filter(({ rule }) => !known.has(rule)).map((it) => show(it.rule, {}, null, it))];
}

export function policyDescription(api: Api, { store, rollout, agents }: Context): void {
  api.openapi(route, async (c) => {
    const { kind, since } = c.req.valid('query');
    const key = policyKeyAt(kind, c.req.valid('param'));
    const stored = rollout.documents().find((document) => document.key === key);
    if (!stored) throw new CellwallError('not_found', `there is no policy ${key}`);
    const sinceUs = parseTime(since, nowUs(), 'since');
    const [nodes, uses] = await Promise.all([store.reader.call('nodes'), store.reader.call('ruleUses', key, sinceUs)]);
    const policy = showPolicy(stored);
    const selects = rollout
      .world()
      .containers.filter((it) => rollout.selecting(it).includes(key))
      .map((it) => ({ node: it.node, name: nameOf(it) }));
    return c.json(
      {
        policy,
        since: timeText(sinceUs),
        selects,
        nodes: nodes.map((row) => ({
          name: row.name,
          connected: agents.isConnected(row.name),
          wanted: rollout.generation,
          applied: row.appliedGeneration,
          error: row.appliedError,
          containers: selects.filter(({ node }) => node === row.name).length,
          compiled: rollout.compiledFor(key, row.name),
        })),
        rules: ruleList(policy.document.spec as Spec, uses),
      },
      200,
    );
  });
}
