// SPDX-License-Identifier: Apache-2.0
//
// Dry runs over recorded flows, as routes show them and as the audit log keeps them.
import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Caller } from '../access/caller.js';
import type { Details, NewAuditEntry } from '../audit/chain.js';
import type { Effect } from '../flows/effect.js';
import type { Plan } from '../rollout/plan.js';
import { simulate } from '../rollout/simulation.js';
import { type Context, nowUs } from './context.js';

export const DAY_US = 86_400e6;
/** Of a document that is put into the audit log whole; of a longer one there is the hash. */
const MOST_DOCUMENT_BYTES = 16 * 1024;

const verdict = z.enum(['allowed', 'audit', 'denied']);
export const effectSchema = z
  .object({
    since: z.string(),
    until: z.string(),
    selects: z.object({ containers: z.number(), workloads: z.array(z.string()) }),
    refused: z.number().openapi({ description: 'flows that would be denied and were not' }),
    accepted: z.number().openapi({ description: 'flows that would not be denied any more' }),
    marked: z.number().openapi({ description: 'flows that would be marked as audit' }),
    unchanged: z.number(),
    unknown: z.number().openapi({
      description: 'flows that were not judged: their peer is gone and another has its address, or they were too many',
    }),
    lines: z.array(
      z.object({
        container: z.string().openapi({ description: 'the workload container' }),
        direction: z.enum(['egress', 'ingress']),
        peer: z.string(),
        port: z.number(),
        protocol: z.string(),
        before: verdict,
        after: verdict,
        rule: z.string().nullable(),
        flows: z.number(),
        last: z.string(),
        examples: z.array(
          z.object({
            container: z.string(),
            node: z.string(),
            address: z.string(),
            name: z.string().nullable(),
            last: z.string(),
          }),
        ),
      }),
    ),
    more: z.number().openapi({ description: 'lines that are left out' }),
  })
  .openapi('Effect', { description: 'what a change would have done to recorded flows' });

/** For an answer. */
export const shownEffect = (effect: Effect) => ({
  ...effect,
  selects: { ...effect.selects, workloads: [...effect.selects.workloads] },
  lines: effect.lines.map((line) => ({ ...line, examples: [...line.examples] })),
});

/** null: no policy changes. */
export function effectFor({ store }: Context, plan: Plan, sinceUs = nowUs() - DAY_US): Promise<Effect> | null {
  const same =
    plan.before.policies.length === plan.after.policies.length &&
    plan.before.policies.every((policy) => plan.after.policies.includes(policy));
  return same ? null : simulate(store, plan, sinceUs, nowUs());
}

/** As effectFor, for a change that must not wait for a dry run that fails: a text says why there is none. */
export async function effectOrWhy(context: Context, plan: Plan): Promise<Effect | string | null> {
  try {
    return await effectFor(context, plan);
  } catch (error) {
    context.log.warn({ err: error }, 'a change of policies has no dry run');
    return (error as Error).message;
  }
}

/** The blast radius. */
export function countsOf(effect: Effect | string | null): Details {
  if (effect === null) return {};
  if (typeof effect === 'string') return { effect: { notKnown: effect } };
  const { since, refused, accepted, marked, unknown, selects } = effect;
  return { effect: { since, refused, accepted, marked, unknown, containers: selects.containers } };
}

/** One for each document that changes. */
export function auditOf(plan: Plan, caller: Caller, action: string, more: Details): NewAuditEntry[] {
  return plan.applied
    .filter(({ change }) => change !== 'unchanged')
    .map(({ key, change, after }) => ({
      actor: caller.actor,
      action,
      subject: key,
      details: {
        address: caller.address,
        change,
        sha256: createHash('sha256').update(after).digest('hex'),
        ...(after.length <= MOST_DOCUMENT_BYTES && { document: JSON.parse(after) }),
        ...more,
      },
    }));
}
