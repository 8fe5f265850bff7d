// SPDX-License-Identifier: Apache-2.0
import { z } from 'zod';
import { API_GROUP, API_VERSION, KINDS } from './model.js';
import {
  clusterSubject,
  listOf,
  name,
  namespaceName,
  type PeerDocument,
  peers,
  protocols,
  subject,
} from './schema_peers.js';

const MOST_RULES = 10_000;

const WITHOUT_NAMES =
  'cannot be denied: a name has other addresses tomorrow and shares those of today, so what is denied could be reached by another name or address; deny networks instead';
const NO_INGRESS = {
  services: 'are for egress: what comes in comes from containers and addresses, not from a service',
  domainNames: 'are for egress: who comes in is not known by a name that was looked up',
} as const;
const NAMED_PORT =
  'is a name, which only a destination that is a container or service has: give "containers" or "services" peers, or a number';

const ruleFields = {
  name,
  action: z.enum(['Accept', 'Deny']),
  protocols: protocols.optional(),
};
type RuleFields = z.output<z.ZodObject<typeof ruleFields>>;

function checkEgress(rule: RuleFields & { to?: PeerDocument[] | undefined }, context: z.RefinementCtx): void {
  const to = rule.to ?? [];
  to.forEach((peer, index) => {
    if (peer.domainNames && rule.action === 'Deny')
      context.addIssue({ code: 'custom', path: ['to', index, 'domainNames'], message: WITHOUT_NAMES });
  });
  const named = rule.protocols?.some((it) => 'portName' in it) ?? false;
  const haveNames = to.length > 0 && to.every((peer) => peer.containers ?? peer.services);
  if (named && !haveNames) context.addIssue({ code: 'custom', path: ['protocols'], message: NAMED_PORT });
}

function checkIngress(rule: RuleFields & { from?: PeerDocument[] | undefined }, context: z.RefinementCtx): void {
  (rule.from ?? []).forEach((peer, index) => {
    for (const part of ['services', 'domainNames'] as const)
      if (peer[part]) context.addIssue({ code: 'custom', path: ['from', index, part], message: NO_INGRESS[part] });
  });
}

const rules = <T extends z.ZodType>(rule: T) =>
  z
    .array(rule)
    .max(MOST_RULES, `has more than ${MOST_RULES.toLocaleString('en')} rules; split the policy`)
    .default([]);
const egress = rules(z.strictObject({ ...ruleFields, to: peers.optional() }).superRefine(checkEgress));
const ingress = rules(z.strictObject({ ...ruleFields, from: peers.optional() }).superRefine(checkIngress));

function checkRules(spec: { egress: { name: string }[]; ingress: { name: string }[] }, context: z.RefinementCtx): void {
  if (spec.egress.length + spec.ingress.length > MOST_RULES)
    context.addIssue({
      code: 'custom',
      message: `has more than ${MOST_RULES.toLocaleString('en')} rules; split the policy`,
    });
  const seen = new Set<string>();
  for (const direction of ['egress', 'ingress'] as const)
    spec[direction].forEach((given, index) => {
      if (seen.has(given.name))
        context.addIssue({
          code: 'custom',
          path: [direction, index, 'name'],
          message: `"${given.name}" names two rules`,
        });
      seen.add(given.name);
    });
}

/** What all kinds have. */
const apiVersion = z.literal(`${API_GROUP}/${API_VERSION}`);
const words = z.record(z.string(), z.string()).optional();
const metadata = z.strictObject({
  name,
  namespace: namespaceName.default(''),
  labels: words,
  annotations: words,
});
const clusterMetadata = z.strictObject({
  name,
  namespace: z
    .undefined({ error: 'is not for cluster policies: they are about all namespaces, or subject.namespaces' })
    .optional(),
  labels: words,
  annotations: words,
});

const policySpec = {
  mode: z.enum(['Audit', 'Enforce']).default('Enforce'),
  isolate: listOf(z.enum(['Egress', 'Ingress']), 2, 'what its rules say').optional(),
  loopback: z.enum(['Allow', 'Deny']).default('Allow'),
  rawSockets: z.enum(['Allow', 'Deny']).default('Deny'),
  egress,
  ingress,
};

const policySchema = z.strictObject({
  apiVersion,
  metadata,
  kind: z.literal('ContainerPolicy'),
  spec: z.strictObject({ subject: subject.optional(), ...policySpec }).superRefine(checkRules),
});

const clusterPolicySchema = z.strictObject({
  apiVersion,
  metadata: clusterMetadata,
  kind: z.literal('ClusterContainerPolicy'),
  spec: z.strictObject({ subject: clusterSubject.optional(), ...policySpec }).superRefine(checkRules),
});

/** As the server says a NetworkPolicy of Kubernetes; nobody writes it. */
const networkPolicySchema = policySchema.extend({ kind: z.literal('NetworkPolicy') });

const observationSchema = z.strictObject({
  apiVersion,
  metadata,
  kind: z.literal('ContainerObservation'),
  spec: z
    .strictObject({
      subject: subject.optional(),
      names: z.boolean().default(false),
      payload: z.boolean().default(false),
    })
    .refine(
      (given) => given.names || given.payload,
      // A misspelt field is told by itself.
      { message: 'observes nothing; set "names" or "payload" to true, or both', when: ({ issues }) => !issues.length },
    ),
});

export const SCHEMAS = {
  ContainerPolicy: policySchema,
  ClusterContainerPolicy: clusterPolicySchema,
  ContainerObservation: observationSchema,
  NetworkPolicy: networkPolicySchema,
} as const;
/** What can be said of a document whose kind is not known. */
export const otherSchema = z.looseObject({ apiVersion, metadata, kind: z.enum(KINDS) });
export type PolicyDocument =
  | z.output<typeof policySchema>
  | z.output<typeof clusterPolicySchema>
  | z.output<typeof networkPolicySchema>;
export type ObservationDocument = z.output<typeof observationSchema>;

/** Fields of the design which this version does not have; a reader of the design may try them. */
export const NOT_OFFERED = new Set(['startup', 'nodes', 'sctp', 'sourcePort']);

/** As JSON Schema, for editors: what has to be checked across fields is left to the server. */
export function jsonSchemaText(): string {
  const { $schema, ...kinds } = z.toJSONSchema(z.union([policySchema, clusterPolicySchema, observationSchema]), {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'undefined') jsonSchema.not = {};
    },
  });
  return `${JSON.stringify({ $schema, title: 'Cellwall policies and observations', ...kinds }, null, 2)}\n`;
}
