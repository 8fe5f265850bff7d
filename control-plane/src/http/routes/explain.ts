// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { parseProtocol } from '../../flows/filter.js';
import { builtinRule, VERDICTS } from '../../flows/record.js';
import {
  addressBits,
  addressBytes,
  type EndExplained,
  type Evaluation,
  explain,
  nameOf,
  type SideTrace,
} from '../../policy/index.js';
import type { Api, Context } from '../context.js';
import { failures, json } from '../schemas.js';

const said = z
  .object({ policy: z.string(), rule: z.string(), denies: z.boolean() })
  .nullable()
  .openapi({ description: 'null: nothing has a say' });
const side = z.object({
  direction: z.enum(['egress', 'ingress']),
  end: z.enum(['own', 'far']),
  selectedBy: z.array(z.string()),
  isolatedBy: z.array(z.string()),
  rules: z.array(
    z.object({
      policy: z.string(),
      rule: z.string(),
      action: z.string(),
      mode: z.string(),
      mirrored: z.boolean().openapi({ description: 'written at the other end' }),
      match: z.enum(['yes', 'no', 'may']),
      why: z.string(),
    }),
  ),
  enforced: said,
  all: said.openapi({ description: 'with the policies in audit mode' }),
});
const kernel = z
  .object({
    verdict: z.string(),
    policy: z.string().nullable(),
    rule: z.string(),
    generation: z.number(),
    agrees: z.boolean(),
    error: z.string().nullable(),
  })
  .nullable()
  .openapi({ description: 'what the kernel of the node says; null: its agent is away' });
const end = z.object({
  container: z.string(),
  node: z.string(),
  direction: z.enum(['egress', 'ingress']),
  address: z.string(),
  verdict: z.string(),
  policy: z.string().nullable(),
  rule: z.string().nullable(),
  judged: z.boolean(),
  name: z.string().nullable(),
  candidates: z.array(
    z.object({
      container: z.string().nullable(),
      verdict: z.string(),
      decides: z.boolean(),
      egress: side,
      ingress: side,
    }),
  ),
  kernel,
});

const route = createRoute({
  method: 'get',
  path: '/v1/explain',
  summary: 'What would become of a connection, and why',
  description:
    'Asked at each end that is a container, from the policies as they are now; beside it, what the kernel of that node answers.',
  request: {
    query: z.strictObject({
      from: z
        .string()
        .max(500)
        .openapi({ description: 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or an address' }),
      to: z.string().max(500).openapi({ description: 'as from' }),
      port: z.coerce.number().int().min(0).max(65535).openapi({ description: 'of the destination; of ICMP, the type' }),
      protocol: z.string().max(20).default('tcp'),
      name: z.string().max(253).optional().openapi({ description: 'under which the caller looked the address up' }),
    }),
  },
  responses: {
    200: json(
      z.object({
        explained: z.array(z.object({ from: z.string(), to: z.string(), verdict: z.string(), ends: z.array(end) })),
        generation: z.number(),
      }),
      'one for each pair of a caller and one that is called',
    ),
    ...failures,
  },
});

const plain = ({ rules, selectedBy, isolatedBy, ...rest }: SideTrace) => ({
  ...rest,
  selectedBy: [...selectedBy],
  isolatedBy: [...isolatedBy],
  rules: [...rules],
});

function candidatesOf({ trace }: Evaluation) {
  return trace.candidates.map(({ container, verdict, egress, ingress }, index) => ({
    container: container && nameOf(container),
    verdict,
    decides: index === trace.decidedBy,
    egress: plain(egress),
    ingress: plain(ingress),
  }));
}

export function explanations(api: Api, { store, rollout, agents }: Context): void {
  /** The container's own kernel is asked the same. */
  const askKernel = async ({ container, direction, address }: EndExplained, protocol: number, port: number) => {
    const rows = await store.reader.call('containers', false);
    const row = rows.find(
      (it) =>
        it.node === container.node &&
        it.namespace === container.namespace &&
        it.pod === container.pod &&
        it.container === container.name,
    );
    if (!row) return null;
    const answer = await agents.ask(container.node, {
      cgroupId: Number(row.cgroupId),
      direction: direction === 'egress' ? 1 : 2,
      address: addressBytes(addressBits(address) ?? 0n),
      protocol,
      port,
    });
    if (!answer) return null;
    const named = await store.reader.call('ruleName', answer.rule ?? 0);
    return {
      verdict: VERDICTS[answer.verdict ?? 0] ?? '',
      policy: named?.policy ?? null,
      rule: named?.rule ?? builtinRule(answer.rule ?? 0),
      generation: Number(answer.generation ?? 0),
      error: answer.error || null,
    };
  };
  const show = async (it: EndExplained, protocol: number, port: number) => {
    const { container, direction, address, evaluation } = it;
    const { verdict, policy, rule, trace } = evaluation;
    const answer = await askKernel(it, protocol, port);
    return {
      container: nameOf(container),
      node: container.node,
      direction,
      address,
      verdict,
      policy,
      rule,
      judged: trace.judged,
      name: trace.name,
      candidates: candidatesOf(evaluation),
      kernel: answer && { ...answer, agrees: answer.verdict === verdict && answer.generation === rollout.generation },
    };
  };
  api.openapi(route, async (c) => {
    const { from, to, port, protocol: text, name = null } = c.req.valid('query');
    const protocol = parseProtocol(text) ?? 6;
    const found = explain(rollout.world(), { from, to, port, protocol, name });
    if (found.length === 0)
      throw new CellwallError(
        'not_found',
        `no container that runs now is ${from} or ${to}; 'cellwall containers' lists them`,
      );
    const explained = await Promise.all(
      found.map(async ({ ends, ...rest }) => ({
        ...rest,
        ends: await Promise.all(ends.map((it) => show(it, protocol, port))),
      })),
    );
    return c.json({ explained, generation: rollout.generation }, 200);
  });
}
