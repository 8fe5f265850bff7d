// SPDX-License-Identifier: Apache-2.0
import type { Authorities } from './authority_folder.js';
import type { Authority } from './certificates.js';

export interface DescribedAuthority {
  subject: string;
  role: 'signs' | 'is replaced';
  /** Of the certificate. */
  sha256: string;
  /** As in join tokens. */
  publicKeySha256: string;
  from: string;
  until: string;
  /** PEM. */
  certificate: string;
}

const describe = (authority: Authority, role: DescribedAuthority['role']): DescribedAuthority => ({
  subject: authority.subject,
  role,
  sha256: authority.fingerprint,
  publicKeySha256: authority.keyHash,
  from: authority.certificate.notBefore.toISOString(),
  until: authority.certificate.notAfter.toISOString(),
  certificate: authority.certificatePem,
});

export function describeAuthorities({ signer, previous }: Authorities): DescribedAuthority[] {
  return [describe(signer, 'signs'), ...(previous ? [describe(previous, 'is replaced')] : [])];
}
