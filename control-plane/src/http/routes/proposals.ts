// SPDX-License-Identifier: Apache-2.0
//
// Changes of policies that somebody asks for and somebody else approves.
import { createRoute, z } from '@hono/zod-openapi';
import type { Caller } from '../../access/caller.js';
import { CellwallError } from '../../errors.js';
import type { Effect } from '../../flows/effect.js';
import { parseTime } from '../../flows/filter.js';
import { timeText } from '../../flows/record.js';
import type { Plan } from '../../rollout/plan.js';
import { type Decision, PROPOSAL_STATES, type StoredProposal } from '../../store/proposals.js';
import { type Api, type Context, nowUs } from '../context.js';
import { auditOf, countsOf, effectFor, effectSchema, shownEffect } from '../effects.js';
import { documentsBody, documentsSource, failures, json } from '../schemas.js';

const LONGEST_REASON = 2000;
const reason = z.string().max(LONGEST_REASON).default('');

const schema = z
  .object({
    id: z.number(),
    state: z.enum(PROPOSAL_STATES),
    author: z.string(),
    reason: z.string(),
    documents: z.array(z.string()).openapi({ description: 'keys' }),
    created: z.string(),
    generation: z.number().openapi({ description: 'of the policies that the dry run is compared with' }),
    stale: z.boolean().openapi({ description: 'the policies have changed since' }),
    decided: z.string().nullable(),
    decidedBy: z.string().nullable(),
    decidedReason: z.string().nullable(),
  })
  .openapi('Proposal');
const whole = schema.extend({ body: z.string(), effect: effectSchema.nullable() }).openapi('ProposalInFull');
const decision = {
  params: z.object({ id: z.coerce.number().int().min(1) }),
  query: z.strictObject({ reason }),
};

const propose = createRoute({
  method: 'post',
  path: '/v1/proposals',
  summary: 'Propose policies and observations: an admin decides',
  description: 'The dry run says what the change would have done to recorded flows.',
  request: {
    query: z.strictObject({
      reason,
      since: z.string().max(100).default('1d').openapi({ description: 'of the flows of the dry run' }),
      source: documentsSource,
    }),
    body: documentsBody,
  },
  responses: { 200: json(whole, 'the proposal'), ...failures },
});
const list = createRoute({
  method: 'get',
  path: '/v1/proposals',
  summary: 'Proposals, newest first',
  request: {
    query: z.strictObject({
      state: z.enum([...PROPOSAL_STATES, 'all']).default('open'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
  },
  responses: { 200: json(z.object({ proposals: z.array(schema) }), 'without documents and dry runs'), ...failures },
});
const get = createRoute({
  method: 'get',
  path: '/v1/proposals/{id}',
  summary: 'One proposal, with its documents and its dry run',
  request: { params: decision.params },
  responses: { 200: json(whole, 'the proposal'), ...failures },
});
const approve = createRoute({
  method: 'post',
  path: '/v1/proposals/{id}/approve',
  summary: 'Apply a proposal',
  description:
    'Refused to its author, and when the policies have changed since the dry run: it is then made again, to be looked at first.',
  request: decision,
  responses: { 200: json(z.object({ generation: z.number() }), 'the new generation'), ...failures },
});
const reject = createRoute({
  method: 'post',
  path: '/v1/proposals/{id}/reject',
  summary: 'Decide against a proposal',
  request: decision,
  responses: { 200: json(schema, 'the proposal'), ...failures },
});
const withdraw = createRoute({
  method: 'post',
  path: '/v1/proposals/{id}/withdraw',
  summary: 'Take back a proposal of one’s own',
  request: decision,
  responses: { 200: json(schema, 'the proposal'), ...failures },
});

export function proposals(api: Api, context: Context): void {
  const { store, rollout, selfApproval } = context;

  const show = (it: StoredProposal) => ({
    id: it.id,
    state: it.state,
    author: it.author,
    reason: it.reason,
    documents: JSON.parse(it.keys) as string[],
    created: timeText(it.createdUs),
    generation: it.generation,
    stale: it.state === 'open' && it.generation !== rollout.generation,
    decided: it.decidedUs === null ? null : timeText(it.decidedUs),
    decidedBy: it.decidedBy,
    decidedReason: it.decidedReason,
  });
  const showWhole = (it: StoredProposal) => {
    const effect = JSON.parse(it.effect) as Effect | null;
    return { ...show(it), body: it.body, effect: effect && shownEffect(effect) };
  };
  const find = async (id: number): Promise<StoredProposal> => {
    const found = await store.writer.call('proposal', id);
    if (!found)
      throw new CellwallError('not_found', `there is no proposal ${id}; 'cellwall proposals list' lists them`);
    return found;
  };
  const findOpen = async (id: number): Promise<StoredProposal> => {
    const found = await find(id);
    if (found.state !== 'open')
      throw new CellwallError('conflict', `proposal ${id} is ${found.state} already, by ${found.decidedBy}`);
    return found;
  };
  const decide = async (it: StoredProposal, caller: Caller, state: Decision['state'], reason: string) => {
    const { actor, address } = caller;
    const audit = { actor, action: `proposal.${state}`, subject: `proposal/${it.id}`, details: { address, reason } };
    if (!(await store.writer.call('decideProposal', { id: it.id, state, by: actor, reason }, audit)))
      throw new CellwallError('conflict', `proposal ${it.id} is not open any more`);
    return show(await find(it.id));
  };
  const renew = async (it: StoredProposal, plan: Plan) => {
    const effect = await effectFor(context, plan);
    await store.writer.call('renewProposal', it.id, plan.generation, JSON.stringify(effect));
  };

  api.openapi(propose, async (c) => {
    const { reason, since, source } = c.req.valid('query');
    const { actor, address } = c.get('caller');
    const body = await c.req.text();
    const sinceUs = parseTime(since, nowUs(), 'since');
    const plan = rollout.plan(body, source);
    const changes = plan.applied.filter(({ change }) => change !== 'unchanged');
    if (changes.length === 0)
      throw new CellwallError('conflict', 'this would change nothing: the policies are like that already');
    const effect = await effectFor(context, plan, sinceUs);
    const keys = plan.applied.map(({ key }) => key);
    const id = await store.writer.call(
      'propose',
      {
        author: actor,
        reason,
        source,
        body,
        keys: JSON.stringify(keys),
        generation: plan.generation,
        effect: JSON.stringify(effect),
      },
      {
        actor,
        action: 'proposal.create',
        subject: '',
        details: { address, reason, documents: keys, ...countsOf(effect) },
      },
    );
    return c.json(showWhole(await find(id)), 200);
  });
  api.openapi(list, async (c) => {
    const { state, limit } = c.req.valid('query');
    const found = await store.reader.call('proposals', state === 'all' ? null : state, limit);
    return c.json({ proposals: found.map(show) }, 200);
  });
  api.openapi(get, async (c) => c.json(showWhole(await find(c.req.valid('param').id)), 200));
  api.openapi(approve, async (c) => {
    const { id } = c.req.valid('param');
    const { reason } = c.req.valid('query');
    const caller = c.get('caller');
    const found = await findOpen(id);
    if (found.author === caller.actor && !selfApproval)
      throw new CellwallError(
        'forbidden',
        `proposal ${id} is your own: another admin has to approve it (or the server runs with --self-approval)`,
      );
    const plan = rollout.plan(found.body, found.source);
    if (plan.generation !== found.generation) {
      await renew(found, plan);
      throw new CellwallError(
        'conflict',
        `the policies have changed since the dry run of proposal ${id} (generation ${found.generation}, now ${plan.generation}); it was made again: look at it with 'cellwall proposals show ${id}', then approve again`,
      );
    }
    const effect = JSON.parse(found.effect) as Effect | null;
    const more = { proposal: id, author: found.author, reason, ...countsOf(effect) };
    const { generation } = await rollout.apply(plan, {
      audit: [
        {
          actor: caller.actor,
          action: 'proposal.approved',
          subject: `proposal/${id}`,
          details: { address: caller.address, reason },
        },
        ...auditOf(plan, caller, 'policy.apply', more),
      ],
      decision: { id, state: 'approved', by: caller.actor, reason },
      generation: plan.generation,
    });
    context.log.info({ actor: caller.actor, proposal: id, generation }, 'proposal applied');
    return c.json({ generation }, 200);
  });
  api.openapi(reject, async (c) =>
    c.json(
      await decide(await findOpen(c.req.valid('param').id), c.get('caller'), 'rejected', c.req.valid('query').reason),
      200,
    ),
  );
  api.openapi(withdraw, async (c) => {
    const found = await findOpen(c.req.valid('param').id);
    const caller = c.get('caller');
    if (found.author !== caller.actor)
      throw new CellwallError('forbidden', `proposal ${found.id} is of ${found.author}; an admin can reject it`);
    return c.json(await decide(found, caller, 'withdrawn', c.req.valid('query').reason), 200);
  });
}
