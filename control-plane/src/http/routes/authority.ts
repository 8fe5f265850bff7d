// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { CellwallError } from '../../errors.js';
import { describeAuthorities } from '../../identity/description.js';
import type { Api, Context } from '../context.js';
import { failures, json } from '../schemas.js';

const authoritySchema = z
  .object({
    subject: z.string(),
    role: z.enum(['signs', 'is replaced']),
    sha256: z.string().openapi({ description: 'of the certificate' }),
    publicKeySha256: z.string().openapi({ description: 'of the public key, as in join tokens' }),
    from: z.string(),
    until: z.string(),
    certificate: z.string().openapi({ description: 'PEM' }),
  })
  .openapi('Authority');

const show = createRoute({
  method: 'get',
  path: '/v1/ca',
  summary: 'The authority that signs certificates of agents and of this server',
  responses: {
    200: json(
      z.object({
        authorities: z.array(authoritySchema),
        server: z.object({ names: z.string(), until: z.string() }),
        behind: z.array(z.string()).openapi({ description: 'nodes whose certificate is of the one that is replaced' }),
      }),
      'what is trusted',
    ),
    ...failures,
  },
});
const rotate = createRoute({
  method: 'post',
  path: '/v1/ca/rotate',
  summary: 'Begin to replace the authority: the new one signs, both are trusted',
  responses: { 200: json(authoritySchema, 'the new one'), ...failures },
});
const finish = createRoute({
  method: 'post',
  path: '/v1/ca/finish',
  summary: 'Trust the authority that was replaced no more',
  request: {
    query: z.strictObject({
      force: z.enum(['true', 'false']).default('false').openapi({ description: 'also when agents still need it' }),
    }),
  },
  responses: { 200: json(z.object({ dropped: z.string() }), 'what is trusted no more'), ...failures },
});

export function authority(api: Api, { agents }: Context): void {
  const { nodes, enrolment, audit } = agents.access;
  const trust = () => {
    if (!enrolment)
      throw new CellwallError(
        'conflict',
        'this server has no authority of its own: it was started with given certificates, or without TLS (--tls own)',
      );
    return enrolment.trust;
  };

  /** Nodes that would have to enrol anew. */
  function behind(): string[] {
    const old = trust().authorities.previous?.fingerprint;
    if (old === undefined) return [];
    const nowUs = Date.now() * 1000;
    const issued = nodes.all().filter((it) => it.authority === old && (it.endsUs ?? 0) > nowUs && !it.revokedUs);
    const connected = agents.nodes().filter((node) => agents.certificateOf(node)?.authority === old);
    return [...new Set([...issued.map(({ node }) => node), ...connected])].sort();
  }

  api.openapi(show, (c) => {
    const { serverCertificate } = trust();
    return c.json(
      {
        authorities: describeAuthorities(trust().authorities),
        server: {
          names: serverCertificate.subjectAltName ?? '',
          until: new Date(serverCertificate.validTo).toISOString(),
        },
        behind: behind(),
      },
      200,
    );
  });
  api.openapi(rotate, async (c) => {
    const made = await trust().rotate();
    audit(c.get('caller').actor, 'ca.rotate', made.subject, { sha256: made.fingerprint });
    const [signs] = describeAuthorities(trust().authorities);
    if (!signs) throw new CellwallError('internal', 'there is no authority');
    return c.json(signs, 200);
  });
  api.openapi(finish, async (c) => {
    const left = behind();
    if (left.length > 0 && c.req.valid('query').force !== 'true')
      throw new CellwallError(
        'conflict',
        `${left.length} nodes still have certificates of the authority that is replaced, and would have to enrol anew: ${left.slice(0, 20).join(', ')}${left.length > 20 ? ', …' : ''}. Wait for them, or give --force`,
      );
    const dropped = await trust().finish();
    audit(c.get('caller').actor, 'ca.finish', dropped.subject, { left: left.length });
    return c.json({ dropped: dropped.subject }, 200);
  });
}
