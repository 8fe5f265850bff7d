// SPDX-License-Identifier: Apache-2.0
//
// What an agent asks to have signed: checked here, so that nothing of it but the public key gets into a certificate.

import { CellwallError } from '../errors.js';
import * as x509 from './x509.js';

export const LARGEST_REQUEST = 4096;
const NODE = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;

const refuse = (message: string): never => {
  throw new CellwallError('invalid_certificate_request', message);
};

export function checkNodeName(node: string): void {
  if (!NODE.test(node))
    refuse(
      `"${node.slice(0, 80)}" is no name that a certificate can be made for: 1 to 253 letters, digits, ".", "_" and "-", the first and last a letter or digit (--node)`,
    );
}

function read(der: Uint8Array): x509.Pkcs10CertificateRequest {
  try {
    return new x509.Pkcs10CertificateRequest(new Uint8Array(der));
  } catch (error) {
    return refuse(`the certificate request is malformed: ${(error as Error).message}`);
  }
}

function keyOf(request: x509.Pkcs10CertificateRequest): string {
  try {
    const { name, namedCurve, modulusLength } = request.publicKey.algorithm as {
      name: string;
      namedCurve?: string;
      modulusLength?: number;
    };
    return [name, namedCurve ?? modulusLength ?? ''].join(' ').trim();
  } catch {
    return 'of an unknown kind';
  }
}

/** The public key to sign for `node`. Throws invalid_certificate_request. */
export async function checkRequest(der: Uint8Array, node: string): Promise<x509.PublicKey> {
  checkNodeName(node);
  if (der.length > LARGEST_REQUEST)
    refuse(`the certificate request has ${der.length} bytes; at most ${LARGEST_REQUEST} are read`);
  const request = read(der);
  const key = keyOf(request);
  if (key !== 'ECDSA P-256') refuse(`the key of the certificate request is ${key}: it has to be ECDSA P-256`);
  const asked = request.subjectName.getField('CN');
  if (request.subjectName.toJSON().length > 1 || asked.length !== 1 || asked[0] !== node)
    refuse(`the certificate request is for "${request.subject.slice(0, 300)}", and not for CN=${node}`);
  if (request.extensions.length > 0 || request.attributes.length > 0)
    refuse('the certificate request asks for extensions: none are given');
  const signed = await request.verify().catch(() => false);
  if (!signed) refuse('the certificate request is not signed by its own key');
  return request.publicKey;
}
