// SPDX-License-Identifier: Apache-2.0
//
// Certificates for agents, signed with the key of a server's own authority: cheaper than to enrol.
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { makeAuthority, readAuthority, signAgent } from '../../control-plane/src/identity/certificates.js';
import * as x509 from '../../control-plane/src/identity/x509.js';
import { type Enrolled, enrolled, makeKeys } from '../../control-plane/src/testing/enrolled.js';
import type { ServerProcess } from './cellwall.js';

const HOUR_MS = 3_600_000;

async function signed(signer: Awaited<ReturnType<typeof makeAuthority>>, node: string, fromMs: number, ca: string) {
  const keys = await makeKeys();
  const certificate = await signAgent(
    signer,
    node,
    new x509.PublicKey(await webcrypto.subtle.exportKey('spki', keys.publicKey)),
    fromMs,
    HOUR_MS,
  );
  return enrolled(certificate.toString('pem'), keys, ca);
}

/** fromMs: an hour from then on. */
export async function nodeCertificate(server: ServerProcess, node: string, fromMs = Date.now()): Promise<Enrolled> {
  const pem = readFileSync(server.ca, 'utf8');
  return signed(await readAuthority(pem, server.ca), node, fromMs, pem);
}

/** Of an authority that nobody knows. */
export async function foreignCertificate(server: ServerProcess, node: string): Promise<Enrolled> {
  return signed(await makeAuthority(Date.now()), node, Date.now(), readFileSync(server.ca, 'utf8'));
}
