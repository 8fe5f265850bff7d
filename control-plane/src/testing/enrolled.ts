// SPDX-License-Identifier: Apache-2.0
//
// Agents with certificates, for tests: what enrols, and what shows the certificate that it got.
import { webcrypto } from 'node:crypto';
import { ChannelCredentials, makeClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { ENROLMENT_SERVICE } from '../grpc/enrolment_service.js';
import { ALGORITHM } from '../identity/certificates.js';
import * as x509 from '../identity/x509.js';
import type { types } from '../ingest/wire.js';
import { TestAgent } from './agent.js';

type EnrolRequest = types.cellwall.v1.EnrolRequest.$Properties;
type EnrolResponse = types.cellwall.v1.EnrolResponse.$Properties;
type KeyPair = webcrypto.CryptoKeyPair;

const Client = makeClientConstructor(ENROLMENT_SERVICE, 'cellwall.v1.EnrolmentService');

export const makeKeys = (algorithm: object = ALGORITHM): Promise<KeyPair> =>
  webcrypto.subtle.generateKey(algorithm as typeof ALGORITHM, true, ['sign', 'verify']);

export async function makeRequest(
  keys: KeyPair,
  name: string,
  extensions: x509.Extension[] = [],
  algorithm: object = ALGORITHM,
): Promise<Uint8Array> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm as typeof ALGORITHM,
    extensions,
  });
  return new Uint8Array(request.rawData);
}

export async function enrol(address: string, authorities: string, request: EnrolRequest): Promise<EnrolResponse> {
  const client = new Client(address, ChannelCredentials.createSsl(Buffer.from(authorities)));
  const call = client as unknown as {
    enrol(request: EnrolRequest, done: (error: ServiceError | null, response: EnrolResponse) => void): void;
  };
  try {
    return await new Promise((resolve, reject) =>
      call.enrol(request, (error, response) => (error ? reject(error) : resolve(response))),
    );
  } finally {
    client.close();
  }
}

export interface Enrolled {
  readonly chain: string;
  readonly keys: KeyPair;
  readonly keyPem: string;
  readonly authorities: string;
  /** Connects, and shows the certificate. */
  agent(address: string): TestAgent;
}

export async function enrolled(chain: string, keys: KeyPair, authorities: string): Promise<Enrolled> {
  const keyPem = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return {
    chain,
    keys,
    keyPem,
    authorities,
    agent: (address) =>
      new TestAgent(
        address,
        ChannelCredentials.createSsl(Buffer.from(authorities), Buffer.from(keyPem), Buffer.from(chain)),
      ),
  };
}

/** By a join token. */
export async function enrolNode(
  address: string,
  authorities: string,
  node: string,
  joinToken: string,
): Promise<Enrolled> {
  const keys = await makeKeys();
  const pkcs10 = await makeRequest(keys, `CN=${node}`);
  const { certificate } = await enrol(address, authorities, { node, joinToken, certificateRequest: { pkcs10 } });
  return enrolled(certificate?.chain ?? '', keys, certificate?.authorities?.certificates ?? '');
}
