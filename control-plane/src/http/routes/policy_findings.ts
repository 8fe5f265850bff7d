// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { stringify } from 'yaml';
import { CellwallError } from '../../errors.js';
import { parseTime } from '../../flows/filter.js';
import { findingsOf } from '../../flows/findings.js';
import { timeText } from '../../flows/record.js';
import { ALL_KINDS, type Mode, withMode } from '../../policy/index.js';
import { type Api, type Context, nowUs } from '../context.js';
import { policyKeyAt } from '../policy_keys.js';
import { AGO, failures, json } from '../schemas.js';

const MOST_FINDINGS = 1000;

const route = createRoute({
  method: 'get',
  path: '/v1/policies/{namespace}/{name}/findings',
  summary: 'What a policy in mode Audit has found, and its text in the other mode',
  request: {
    params: z.object({
      namespace: z.string().openapi({ description: '"-" for policies without one' }),
      name: z.string(),
    }),
    query: z.strictObject({
      kind: z.enum(ALL_KINDS).default('ContainerPolicy'),
      since: z
        .string()
        .max(100)
        .optional()
        .openapi({
          description: `${AGO}; not before the policy was changed last, which is what is taken when left out`,
        }),
    }),
  },
  responses: {
    200: json(
      z.object({
        key: z.string(),
        mode: z.enum(['Audit', 'Enforce']),
        since: z.string(),
        generation: z.number(),
        flows: z.number(),
        findings: z.array(
          z.object({
            container: z.string(),
            direction: z.enum(['egress', 'ingress']),
            peer: z.string(),
            port: z.number(),
            protocol: z.string(),
            rule: z.string(),
            flows: z.number(),
            first: z.string(),
            last: z.string(),
          }),
        ),
        more: z.number().openapi({ description: 'findings that are left out' }),
        other: z.string().openapi({ description: 'the text of the policy with its other mode' }),
      }),
      'findings, most flows first',
    ),
    ...failures,
  },
});

export function policyFindings(api: Api, { store, rollout }: Context): void {
  api.openapi(route, async (c) => {
    const { kind, since } = c.req.valid('query');
    const key = policyKeyAt(kind, c.req.valid('param'));
    const stored = rollout.documents().find((it) => it.key === key);
    if (!stored || kind === 'ContainerObservation')
      throw new CellwallError('not_found', `there is no policy ${key}; 'cellwall policy get' lists what there is`);
    const document = JSON.parse(stored.document) as { spec?: { mode?: Mode } };
    const mode = document.spec?.mode ?? 'Enforce';
    const now = nowUs();
    const sinceUs = Math.max(stored.updatedUs, since === undefined ? 0 : parseTime(since, now, 'since'));
    const { edges } = await store.reader.call('edges', { sinceUs, untilUs: now }, {});
    const findings = findingsOf(edges, key);
    const text = stored.text || stringify(document);
    return c.json(
      {
        key,
        mode,
        since: timeText(sinceUs),
        generation: stored.generation,
        flows: findings.reduce((sum, it) => sum + it.flows, 0),
        findings: findings.slice(0, MOST_FINDINGS),
        more: Math.max(0, findings.length - MOST_FINDINGS),
        other: withMode(text, mode === 'Audit' ? 'Enforce' : 'Audit'),
      },
      200,
    );
  });
}
