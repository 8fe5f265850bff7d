// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { KINDS, type Network, type PortRange, TCP, UDP } from './model.js';
import { contains, parseNetwork } from './network.js';

const name = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/,
    'must be letters, digits, ".", "_" and "-", and begin and end with a letter or digit',
  );
const names = z.array(z.string().min(1).max(253)).max(1000).default([]);
const port = z.number().int().min(1, 'must be a port from 1 to 65535').max(65535, 'must be a port from 1 to 65535');

const network = z.string().transform((text, context): Network => {
  const parsed = parseNetwork(text);
  if (typeof parsed !== 'string') return parsed;
  context.addIssue({ code: 'custom', message: parsed });
  return z.NEVER;
});

const networks = z
  .array(network)
  .min(1, 'is empty; leave "to" out to mean every address')
  .max(100_000)
  .superRefine((list, context) => {
    const sorted = list
      .map((entry, index) => ({ entry, index }))
      .filter(({ entry }) => entry !== undefined)
      .sort((a, b) => a.entry.prefix - b.entry.prefix || (a.entry.address < b.entry.address ? -1 : 1));
    const overlaps = findOverlaps(sorted);
    for (const { inner, outer, index } of overlaps.slice(0, 10)) {
      const what =
        inner.prefix === outer.prefix
          ? `"${inner.text}" is listed twice`
          : `"${inner.text}" lies within "${outer.text}"`;
      context.addIssue({ code: 'custom', path: [index], message: `${what}; remove one of them` });
    }
  });

function findOverlaps(sorted: { entry: Network; index: number }[]) {
  const found: { inner: Network; outer: Network; index: number }[] = [];
  const byPrefix = new Map<number, Map<bigint, Network>>();
  for (const { entry, index } of sorted) {
    for (const [prefix, seen] of byPrefix) {
      const outer = seen.get((entry.address >> BigInt(128 - prefix)) << BigInt(128 - prefix));
      if (outer && contains(outer, entry)) found.push({ inner: entry, outer, index });
    }
    const same = byPrefix.get(entry.prefix) ?? new Map<bigint, Network>();
    if (!same.has(entry.address)) same.set(entry.address, entry);
    byPrefix.set(entry.prefix, same);
  }
  return found;
}

const range = z
  .strictObject({ start: port, end: port })
  .refine((given) => given.start <= given.end, { message: 'starts after its end' });
const destinationPort = z
  .strictObject({ number: port.optional(), range: range.optional() })
  .refine((given) => (given.number === undefined) !== (given.range === undefined), {
    message: 'needs either "number" or "range"',
  });
const transport = z.strictObject({ destinationPort: destinationPort.optional() });
const protocol = z
  .strictObject({ tcp: transport.optional(), udp: transport.optional() })
  .refine((given) => (given.tcp === undefined) !== (given.udp === undefined), {
    message: 'needs either "tcp" or "udp"',
  })
  .transform(({ tcp, udp }): PortRange => {
    const given = (tcp ?? udp)?.destinationPort;
    const bounds = given?.range ?? { start: given?.number ?? 0, end: given?.number ?? 65535 };
    return { protocol: tcp ? TCP : UDP, first: bounds.start, last: bounds.end };
  });

const rule = z.strictObject({
  name,
  action: z.enum(['Accept', 'Deny']),
  to: z.array(z.strictObject({ networks })).min(1, 'is empty; leave it out to mean every address').optional(),
  protocols: z.array(protocol).min(1, 'is empty; leave it out to mean every protocol and port').optional(),
});

const requirement = z
  .strictObject({
    key: z.string().min(1),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string()).default([]),
  })
  .refine((given) => (given.operator === 'In' || given.operator === 'NotIn') === given.values.length > 0, {
    message: 'In and NotIn need values, Exists and DoesNotExist have none',
  });

const pods = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).default({}),
  matchExpressions: z.array(requirement).default([]),
  names,
});

const subject = z.strictObject({ pods: pods.optional(), containers: names }).default({ containers: [] });

/** What all kinds have. */
const head = {
  apiVersion: z.literal('cellwall.dev/v1alpha1'),
  metadata: z.strictObject({
    name,
    namespace: z.union([z.literal(''), name]).default(''),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
};

const policySchema = z.strictObject({
  ...head,
  kind: z.literal('ContainerPolicy'),
  spec: z.strictObject({
    subject,
    mode: z.enum(['Audit', 'Enforce']).default('Enforce'),
    isolate: z.array(z.enum(['Egress'])).default([]),
    loopback: z.enum(['Allow', 'Deny']).default('Allow'),
    egress: z
      .array(rule)
      .max(10_000)
      .default([])
      .superRefine((rules, context) => {
        const seen = new Set<string>();
        rules.forEach((given, index) => {
          if (seen.has(given.name))
            context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${given.name}" names two rules` });
          seen.add(given.name);
        });
      }),
  }),
});

const observationSchema = z.strictObject({
  ...head,
  kind: z.literal('ContainerObservation'),
  spec: z.strictObject({ subject, names: z.boolean().default(false), payload: z.boolean().default(false) }).refine(
    (given) => given.names || given.payload,
    // A misspelt field is told by itself.
    { message: 'observes nothing; set "names" or "payload" to true, or both', when: ({ issues }) => !issues.length },
  ),
});

export const SCHEMAS = { ContainerPolicy: policySchema, ContainerObservation: observationSchema } as const;
/** What can be said of a document whose kind is not known. */
export const otherSchema = z.looseObject({ ...head, kind: z.enum(KINDS) });
export type PolicyDocument = z.output<typeof policySchema>;
export type ObservationDocument = z.output<typeof observationSchema>;

/** Fields of the design which this version does not have; a reader of the design may try them. */
export const NOT_OFFERED = new Set([
  'ingress',
  'domainNames',
  'namespaces',
  'startup',
  'services',
  'nodes',
  'sctp',
  'icmp',
  'sourcePort',
]);
