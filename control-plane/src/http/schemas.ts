// SPDX-License-Identifier: Apache-2.0
import { z } from '@hono/zod-openapi';
import { ROLES } from '../access/roles.js';
import { ERRORS } from '../errors.js';
import { ALL_KINDS } from '../policy/index.js';
import { LOSS_REASONS, type LossReason } from './losses.js';

const word = z.string().max(500).optional();

/** How a time is written, for descriptions. */
export const AGO = 'RFC 3339, or 15m, 2h, 1d for as long ago';

/** The documents of a request, and how errors name them. */
export const documentsSource = z
  .string()
  .max(300)
  .default('body')
  .openapi({ description: 'name of the input in errors' });
export const documentsBody = {
  required: true,
  content: {
    'application/yaml': { schema: { type: 'string' } },
    'application/json': { schema: { type: 'object' } },
  },
} as const;

const pattern = 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or cgroup:ID; * stands for any text';
const end = `${pattern}; or ADDRESS, CIDR, ADDRESS:PORT`;

/** Of /v1/flows and its stream; read further by flows/filter.ts. */
export const flowFilterQuery = z.strictObject({
  container: word.openapi({ description: pattern }),
  workload: word.openapi({ description: 'NAME or KIND/NAME of what pods belong to, such as deploy/web' }),
  pod: word,
  namespace: word,
  node: word,
  since: word.openapi({ description: AGO }),
  until: word.openapi({ description: 'as since' }),
  verdict: word.openapi({ description: 'allowed, denied or audit' }),
  direction: word.openapi({ description: 'egress or ingress' }),
  protocol: word.openapi({ description: 'tcp, udp, icmp or a number' }),
  end: word.openapi({ description: 'closed, denied, failed, reset or idle' }),
  failure: word.openapi({ description: 'refused, timed-out, unreachable or given-up' }),
  payload: word.openapi({ description: 'tls, http1, http2, ssh, postgres, …' }),
  plaintext: word.openapi({ description: 'true: what everybody on the way can read' }),
  peer: word.openapi({ description: 'address, CIDR, address:port, [v6]:port or :port; also as backend' }),
  port: word.openapi({ description: 'of the server' }),
  service: word.openapi({ description: 'ADDRESS or ADDRESS:PORT as it was asked for' }),
  name: word.openapi({ description: 'domain name or server name of TLS; * stands for any text' }),
  from: word.openapi({ description: `who began: ${end}` }),
  to: word.openapi({ description: `who was reached: ${end}` }),
  not: z
    .union([z.string().max(500), z.array(z.string().max(500)).max(20)])
    .optional()
    .openapi({ description: 'FILTER=VALUE to leave out; may be repeated' }),
});

const endpoint = z.object({ address: z.string(), port: z.number() });
const translation = z.object({ source: endpoint, destination: endpoint }).openapi({
  description:
    'egress: what the far side sees, and the backend; ingress: the address of the caller itself, and what it asked for',
});
export const peerSchema = z
  .object({
    name: z.string(),
    namespace: z.string(),
    pod: z.string(),
    container: z.string().openapi({ description: 'empty: only the pod is known' }),
    node: z.string(),
    flow: z.string().nullable().openapi({ description: 'the record at the other end' }),
    how: z.enum(['conversation', 'listener', 'address']),
  })
  .openapi('Peer');

export const flowSchema = z
  .object({
    id: z.string(),
    node: z.string(),
    container: z.object({
      name: z.string(),
      namespace: z.string(),
      pod: z.string(),
      container: z.string(),
      cgroupId: z.string(),
      image: z.string(),
    }),
    count: z.number().openapi({
      description:
        'flows that this record stands for: more than 1 when its node had no room for each; their bytes are summed up, and it lasts from the first to the last',
    }),
    direction: z.string(),
    protocol: z.string(),
    start: z.string().nullable(),
    end: z.string().nullable().openapi({ description: 'null: still open' }),
    durationUs: z.number().nullable(),
    local: z.object({ address: z.string(), port: z.number().nullable() }),
    destination: endpoint.openapi({ description: 'egress: as the container asked for it; ingress: the caller' }),
    translated: translation.nullable(),
    untracked: z.boolean().openapi({ description: 'true: it may have been translated, its entry was gone' }),
    name: z.string().nullable().openapi({ description: 'domain name that the container had looked the address up by' }),
    verdict: z.string(),
    rule: z.object({ policy: z.string().nullable(), name: z.string(), generation: z.number(), display: z.string() }),
    pending: z
      .object({ verdict: z.enum(['allowed', 'audit', 'denied']), rule: z.string().nullable() })
      .nullable()
      .openapi({
        description:
          'what the staged versions of policies say of it, with the containers as they are now; null: none is about it, an end is gone, or this is an export without `peers`',
      }),
    sentBytes: z.number().nullable(),
    receivedBytes: z.number().nullable(),
    sentPackets: z.number().nullable(),
    receivedPackets: z.number().nullable(),
    rttUs: z.number().nullable(),
    retransmits: z.number(),
    endReason: z.string(),
    failure: z.string().nullable(),
    payload: z.string().nullable().openapi({ description: 'null: was not looked at' }),
    plaintext: z.boolean(),
    tls: z.object({ version: z.string().nullable(), serverName: z.string().nullable() }).nullable(),
    process: z.object({ id: z.number(), name: z.string() }).nullable(),
    partial: z.boolean(),
    older: z.boolean().openapi({ description: 'true: the socket was open before Cellwall' }),
    peer: peerSchema.nullable(),
  })
  .openapi('Flow');

export const listenerSchema = z
  .object({
    container: z.object({ name: z.string(), namespace: z.string(), pod: z.string(), container: z.string() }),
    node: z.string(),
    protocol: z.string(),
    address: z.string(),
    port: z.number(),
    process: z.object({ id: z.number(), name: z.string() }),
    since: z.string(),
    until: z.string().nullable().openapi({ description: 'null: still listens' }),
  })
  .openapi('Listener');

export const errorSchema = z
  .object({
    error: z.object({
      code: z.enum(Object.keys(ERRORS) as [string, ...string[]]),
      message: z.string(),
      details: z.array(z.object({ where: z.string(), message: z.string() })).optional(),
    }),
  })
  .openapi('Error');

export const policySchema = z
  .object({
    key: z.string(),
    kind: z.enum(ALL_KINDS),
    namespace: z.string(),
    name: z.string(),
    mode: z.string().nullable().openapi({ description: 'null: an observation' }),
    keptIn: z.enum(['cellwall', 'kubernetes']).openapi({ description: 'kubernetes: it is changed with kubectl' }),
    generation: z.number(),
    createdAt: z.string(),
    updatedAt: z.string(),
    document: z.record(z.string(), z.unknown()),
    text: z.string().openapi({ description: 'as it was written, with comments' }),
  })
  .openapi('Policy');

const lost = z.object(
  Object.fromEntries(LOSS_REASONS.map((name) => [name, z.number()])) as Record<LossReason, z.ZodNumber>,
);
export const lostSchema = lost.openapi('Lost', {
  description: 'flow records which were made and are not stored, by reason',
});

export const nodeSchema = z
  .object({
    name: z.string(),
    epoch: z.string(),
    connected: z.boolean(),
    lastSeen: z.string(),
    agentVersion: z.string(),
    kernel: z.string(),
    architecture: z.string(),
    attachPoint: z.string(),
    abilities: z.array(z.object({ name: z.string(), present: z.boolean(), consequence: z.string() })),
    generation: z.object({ wanted: z.number(), applied: z.number(), error: z.string().nullable() }),
    containers: z.number(),
    flows: z.object({ stored: z.number(), openNow: z.number() }),
    lost: lostSchema,
    identity: z.object({
      proof: z.enum(['own', 'given', 'none']).openapi({
        description: 'how agents prove their node: by certificates of our authority, of another one, not at all',
      }),
      ends: z.string().nullable().openapi({ description: 'of its certificate; null: none is known' }),
      authority: z.string().nullable().openapi({ description: 'SHA-256 of ours, or the name of the other' }),
      serial: z.string().nullable(),
      method: z.string().nullable().openapi({ description: 'what it got the certificate by' }),
      revoked: z.string().nullable().openapi({ description: 'since when it is not let in' }),
      error: z.string().nullable().openapi({ description: 'why it cannot renew its certificate' }),
    }),
    delivery: z
      .object({
        lagUs: z.number().openapi({ description: 'age of the oldest flow that the agent has and the server has not' }),
        spoolBytes: z.number(),
        spoolLimitBytes: z.number().openapi({ description: '0: the agent has no spool' }),
        spoolBatches: z.number(),
        spoolWritable: z.boolean(),
        queueBytes: z.number().openapi({ description: 'in the memory of the agent' }),
        mergedEvents: z.number().openapi({ description: 'flows that share a record with others for want of room' }),
      })
      .openapi({ description: 'as the agent has told last; see lastSeen' }),
    counters: z.record(z.string(), z.number()),
  })
  .openapi('Node');

export const lossSchema = z
  .object({
    node: z.string(),
    epoch: z.string().openapi({ description: 'boot of the node, and ring of its kernel' }),
    reason: z.enum(LOSS_REASONS as [LossReason, ...LossReason[]]),
    count: z.number(),
    first: z.string().nullable().openapi({ description: 'when what is missing was made; null: not known' }),
    last: z.string().nullable(),
    noticed: z.string().openapi({ description: 'when the server heard of it' }),
  })
  .openapi('Loss');

export const containerSchema = z
  .object({
    node: z.string(),
    cgroupId: z.string(),
    name: z.string(),
    namespace: z.string(),
    pod: z.string(),
    container: z.string(),
    image: z.string(),
    runtime: z.string(),
    runtimeId: z.string(),
    workload: z.string().openapi({ description: 'what the pod belongs to; its own name where nothing tells' }),
    labels: z.record(z.string(), z.string()),
    addresses: z.array(z.string()),
    firstSeen: z.string(),
    lastSeen: z.string(),
    gone: z.string().nullable(),
    policies: z.array(z.string()),
    observed: z.object({ names: z.boolean(), payload: z.boolean() }),
  })
  .openapi('Container');

/** In the audit log it stands between colons. */
export const tokenName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/,
    'letters, digits, ".", "_", "@" and "-", at most 63, beginning with a letter or a digit',
  );

export const tokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    state: z.enum(['valid', 'expired', 'revoked']),
    created: z.string(),
    createdBy: z.string(),
    expires: z.string().nullable().openapi({ description: 'null: never' }),
    lastUsed: z.string().nullable().openapi({ description: 'exact to a minute' }),
    revoked: z.string().nullable(),
  })
  .openapi('Token');

export const newTokenSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    expires: z.string().nullable(),
    token: z.string(),
  })
  .openapi('NewToken');

export const auditSchema = z
  .object({
    number: z.number(),
    time: z.string(),
    timeUs: z.number().openapi({ description: 'the time as it was hashed' }),
    actor: z.string(),
    action: z.string(),
    subject: z.string(),
    details: z.record(z.string(), z.unknown()),
    hash: z.string(),
  })
  .openapi('AuditEntry');

/** For the `responses` of a route. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
});
export const failures = { default: json(errorSchema, 'what went wrong, and where') };
