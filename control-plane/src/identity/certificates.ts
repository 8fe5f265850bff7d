// SPDX-License-Identifier: Apache-2.0
//
// Certificates as the authority makes them: keys on P-256, ECDSA with SHA-256. No file is read or written here.
import { createHash, createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { CellwallError } from '../errors.js';
import * as x509 from './x509.js';

export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const AUTHORITY_MS = 3650 * DAY_MS;
export const SERVER_MS = 90 * DAY_MS;
/** The clocks of agents may be behind that of the server. */
const SKEW_MS = 3_600_000;

export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly key: webcrypto.CryptoKey;
  readonly subject: string;
  /** SHA-256 of the certificate, in hex. */
  readonly fingerprint: string;
  /** SHA-256 of the public key (SubjectPublicKeyInfo), in hex: what join tokens carry. */
  readonly keyHash: string;
}

export const sha256 = (data: ArrayBuffer | Uint8Array): string =>
  createHash('sha256').update(new Uint8Array(data)).digest('hex');

/** RFC 5280 wants a positive number of at most 20 bytes. */
const serialNumber = (): string => {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return bytes.toString('hex');
};

const wholeSecond = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000);

export const certificatePem = (certificate: x509.X509Certificate): string => `${certificate.toString('pem')}\n`;

export async function readAuthority(pem: string, file: string): Promise<Authority> {
  try {
    const [certificatePart] = x509.PemConverter.decodeWithHeaders(pem).filter(({ type }) => type === 'CERTIFICATE');
    if (!certificatePart) throw new Error('it holds no certificate');
    const certificate = new x509.X509Certificate(certificatePart.rawData);
    const pkcs8 = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']);
    return toAuthority(certificate, key);
  } catch (error) {
    throw new CellwallError('invalid_option', `${file} is no authority: ${(error as Error).message}`);
  }
}

async function toAuthority(certificate: x509.X509Certificate, key: webcrypto.CryptoKey): Promise<Authority> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  return {
    certificate,
    certificatePem: certificatePem(certificate),
    keyPem: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    key,
    subject: certificate.subject,
    fingerprint: sha256(certificate.rawData),
    keyHash: sha256(certificate.publicKey.rawData),
  };
}

/** Its name is its own, so that which authority has signed a certificate can be read in it. */
export async function makeAuthority(nowMs: number): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Cellwall authority ${randomBytes(4).toString('hex')}`,
    notBefore: wholeSecond(nowMs - SKEW_MS),
    notAfter: wholeSecond(nowMs + AUTHORITY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return toAuthority(certificate, keys.privateKey);
}

interface Leaf {
  readonly subject: x509.JsonName;
  readonly names: x509.JsonGeneralNames;
  readonly usage: x509.ExtendedKeyUsage;
  readonly publicKey: x509.PublicKey | webcrypto.CryptoKey;
  readonly fromMs: number;
  readonly untilMs: number;
}

async function sign(authority: Authority, leaf: Leaf): Promise<x509.X509Certificate> {
  const last = authority.certificate.notAfter.getTime();
  return x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: authority.certificate.subjectName,
    subject: leaf.subject,
    notBefore: wholeSecond(leaf.fromMs),
    notAfter: wholeSecond(Math.min(leaf.untilMs, last)),
    signingAlgorithm: ALGORITHM,
    signingKey: authority.key,
    publicKey: leaf.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([leaf.usage]),
      new x509.SubjectAlternativeNameExtension(leaf.names),
      await x509.SubjectKeyIdentifierExtension.create(leaf.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
    ],
  });
}

const MOST_COMMON_NAME = 64;
/** Of certificates for agents: spiffe://cellwall/node/NAME. */
export const NODE_URI = 'spiffe://cellwall/node/';
const isDnsName = (name: string) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i.test(name);

/** For the agent of a node, and for nothing but showing to this server. */
export function signAgent(
  authority: Authority,
  node: string,
  publicKey: x509.PublicKey,
  nowMs: number,
  lifeMs: number,
): Promise<x509.X509Certificate> {
  return sign(authority, {
    subject: [{ CN: [node.length <= MOST_COMMON_NAME ? node : 'cellwall agent'] }],
    names: [
      { type: 'url', value: `${NODE_URI}${node}` },
      ...(isDnsName(node) ? [{ type: 'dns' as const, value: node }] : []),
    ],
    usage: x509.ExtendedKeyUsage.clientAuth,
    publicKey,
    fromMs: nowMs,
    untilMs: nowMs + lifeMs,
  });
}

/** PEM: the key, the certificate, and that of the authority, which lets agents with a join token find it. */
export async function makeServerCertificate(
  authority: Authority,
  names: readonly string[],
  nowMs: number,
): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await sign(authority, {
    subject: [{ CN: ['cellwall server'] }],
    names: names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
    usage: x509.ExtendedKeyUsage.serverAuth,
    publicKey: keys.publicKey,
    fromMs: nowMs - SKEW_MS,
    untilMs: nowMs + SERVER_MS,
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return `${key}\n${certificatePem(certificate)}${authority.certificatePem}`;
}
