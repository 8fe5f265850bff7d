// SPDX-License-Identifier: Apache-2.0
//
// Which node a certificate is for. That its chain is good, TLS has found before.

import { CellwallError } from '../errors.js';
import { NODE_URI } from './certificates.js';
import type { Trust } from './trust.js';
import * as x509 from './x509.js';

/** How agents prove which node they are; `own`: by certificates of our authority, `given`: of one that we were given. */
export type Proof =
  | { readonly kind: 'own'; readonly trust: Trust }
  | { readonly kind: 'given'; readonly anyName: boolean };

export interface AgentCertificate {
  /** null: it may be any node's. */
  readonly nodes: readonly string[] | null;
  readonly serial: string;
  readonly fromUs: number;
  readonly endsUs: number;
  /** SHA-256 of the certificate of our own authority; of another one, its name. */
  readonly authority: string;
}

const ANY_NODE_URI = /^spiffe:\/\/[^/]+\/(?:.*\/)?node\/([^/]+)$/;

function namesOf(certificate: x509.X509Certificate): string[] {
  const alternative = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const names = alternative.flatMap(({ type, value }) => {
    if (type === 'dns') return [value];
    const node = type === 'url' ? ANY_NODE_URI.exec(value)?.[1] : undefined;
    return node === undefined ? [] : [node];
  });
  // As RFC 6125 has it: the common name counts where there is nothing better.
  return names.length > 0 ? names : certificate.subjectName.getField('CN');
}

export function readAgentCertificate(der: Uint8Array, proof: Proof): AgentCertificate {
  const certificate = new x509.X509Certificate(new Uint8Array(der));
  const facts = {
    serial: certificate.serialNumber,
    fromUs: certificate.notBefore.getTime() * 1000,
    endsUs: certificate.notAfter.getTime() * 1000,
  };
  if (proof.kind === 'given')
    return { ...facts, nodes: proof.anyName ? null : namesOf(certificate), authority: certificate.issuer };
  const authority = proof.trust.bySubject(certificate.issuer);
  if (!authority) throw new CellwallError('unauthorized', `${certificate.issuer} is trusted no more: enrol anew`);
  const uris = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const nodes = uris.filter(({ type, value }) => type === 'url' && value.startsWith(NODE_URI));
  return { ...facts, nodes: nodes.map(({ value }) => value.slice(NODE_URI.length)), authority: authority.fingerprint };
}

/** Throws forbidden: the certificate is another node's. */
export function checkNode(certificate: AgentCertificate, node: string): void {
  if (certificate.nodes === null || certificate.nodes.includes(node)) return;
  const whose = certificate.nodes.length > 0 ? `of node ${certificate.nodes.join(', ')}` : 'without the name of a node';
  throw new CellwallError(
    'forbidden',
    `the agent says that it is node ${node.slice(0, 253)}, but shows a certificate ${whose}: --node has to be the name in its certificate`,
  );
}
