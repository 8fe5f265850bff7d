// SPDX-License-Identifier: Apache-2.0
//
// Agents that prove who they are over real TLS, and those who only say so.

import { request as httpsRequest } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { TestAgent } from '../testing/agent.js';
import { batchOf, plainFlows } from '../testing/batches.js';
import { TOKEN } from '../testing/certificates.js';
import { enrol, enrolled, enrolNode, makeKeys, makeRequest } from '../testing/enrolled.js';
import { temporaryFolder } from '../testing/folder.js';
import { shared, type TestServer, testServer } from '../testing/server.js';
import { AuthorityFolder } from './authority_folder.js';
import { makeAuthority, signAgent } from './certificates.js';
import * as x509 from './x509.js';

const NOW = Date.now() * 1000;

interface Own extends TestServer {
  readonly authorities: string;
  /** As the API says it, over HTTPS. */
  api<T>(method: string, path: string): Promise<{ status: number; body: T }>;
  token(query?: string): Promise<string>;
}

async function ownServer(more: object = {}, folder = temporaryFolder()): Promise<Own> {
  const server = await testServer(folder, { tls: 'own', ...more });
  const kept = await new AuthorityFolder(folder).load();
  const api = <T>(method: string, path: string) =>
    new Promise<{ status: number; body: T }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const asked = httpsRequest(
        `${server.httpAddress}${path}`,
        { method, headers, rejectUnauthorized: false },
        (response) => {
          let text = '';
          response.on('data', (part: Buffer) => {
            text += part.toString();
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as T }));
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  return {
    ...server,
    authorities: (kept?.signer.certificatePem ?? '') + (kept?.previous?.certificatePem ?? ''),
    api,
    token: async (query = '') => (await api<{ token: string }>('POST', `/v1/join-tokens?${query}`)).body.token,
  };
}

const refused = (code: number, details: RegExp) => ({ code, details: expect.stringMatching(details) });

describe('an agent that enrols', () => {
  it('gets a certificate by a join token, and is let in with it as its node', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    const agent = node.agent(server.grpcAddress);
    expect(await agent.hello('n1')).toMatchObject({ store: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    agent.sendBatch(batchOf(1, 1, plainFlows(3, 7, NOW)));
    expect(await agent.acknowledged(1)).toBe(3);
    const { body } = await server.api<{ nodes: { identity: object }[] }>('GET', '/v1/nodes');
    expect(body.nodes[0]?.identity).toMatchObject({
      proof: 'own',
      method: expect.stringMatching(/^join token /),
      revoked: null,
      ends: expect.any(String),
    });
    agent.close();
  });

  it('gets its certificate again with the same key, when the first answer was lost', async () => {
    const server = await ownServer();
    const joinToken = await server.token();
    const keys = await makeKeys();
    const ask = async (pair = keys) =>
      enrol(server.grpcAddress, server.authorities, {
        node: 'n1',
        joinToken,
        certificateRequest: { pkcs10: await makeRequest(pair, 'CN=n1') },
      });
    expect((await ask()).certificate?.chain).toContain('BEGIN CERTIFICATE');
    expect((await ask()).certificate?.chain).toContain('BEGIN CERTIFICATE');
    await expect(ask(await makeKeys())).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /was used by node n1/));
  });

  it('is refused with a token that is used, ended, revoked, wrong, or for another node', async () => {
    const server = await ownServer();
    const ask = (token: string, node = 'n2') => enrolNode(server.grpcAddress, server.authorities, node, token);
    const used = await server.token();
    await ask(used, 'n1');
    await expect(ask(used)).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /was used by node n1/));
    const short = await server.token('expires=1s');
    await new Promise((done) => setTimeout(done, 1100));
    await expect(ask(short)).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /ended at/));
    const revoked = await server.token();
    await server.api('DELETE', `/v1/join-tokens/${revoked.split('.')[1]}`);
    await expect(ask(revoked)).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /was revoked/));
    const bound = await server.token('node=n9');
    await expect(ask(bound)).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /is for node n9, and not for n2/));
    const [name, id, secret, hash] = (await server.token()).split('.') as [string, string, string, string];
    const wrong = [name, id, (secret.startsWith('A') ? 'B' : 'A') + secret.slice(1), hash].join('.');
    await expect(ask(wrong)).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /not known here/));
    await expect(ask('nonsense')).rejects.toMatchObject(refused(status.UNAUTHENTICATED, /malformed/));
    await expect(ask(await server.token(), 'n1')).rejects.toMatchObject(
      refused(status.UNAUTHENTICATED, /node n1 has a certificate until/),
    );
    expect((await ask(await server.token('node=n1'), 'n1')).chain).toContain('BEGIN CERTIFICATE');
  });

  const patient = shared(() => ownServer());
  it.each([
    ['a foreign name', async () => makeRequest(await makeKeys(), 'CN=other'), /for "CN=other", and not for CN=n1/],
    ['two names', async () => makeRequest(await makeKeys(), 'CN=n1+CN=other'), /not for CN=n1/],
    ['further subjects', async () => makeRequest(await makeKeys(), 'CN=n1,O=admins'), /not for CN=n1/],
    [
      'a foreign name beside its own',
      async () =>
        makeRequest(await makeKeys(), 'CN=n1', [
          new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'other' }]),
        ]),
      /asks for extensions/,
    ],
    [
      'a weak key',
      async () => {
        const rsa = {
          name: 'RSASSA-PKCS1-v1_5',
          modulusLength: 1024,
          publicExponent: new Uint8Array([1, 0, 1]),
          hash: 'SHA-256',
        };
        return makeRequest(await makeKeys(rsa), 'CN=n1', [], rsa);
      },
      /key of the certificate request is RSA.*1024/,
    ],
    [
      'a key on another curve',
      async () => {
        const p521 = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-256' };
        return makeRequest(await makeKeys(p521), 'CN=n1', [], p521);
      },
      /ECDSA P-521/,
    ],
    [
      'the signature of another key',
      async () => {
        const der = await makeRequest(await makeKeys(), 'CN=n1');
        der[der.length - 1] = (der[der.length - 1] as number) ^ 1;
        return der;
      },
      /not signed by its own key/,
    ],
    ['more bytes than are read', async () => new Uint8Array(4097), /4097 bytes; at most 4096/],
    ['no request', async () => Uint8Array.of(1, 2, 3), /malformed/],
  ])('is refused when its request has %s, and its token stays good', async (_, make, reason) => {
    const server = await patient();
    // Of its own: the node enrols once more in each of these tests.
    const joinToken = await server.token('node=n1');
    const pkcs10 = await make();
    await expect(
      enrol(server.grpcAddress, server.authorities, { node: 'n1', joinToken, certificateRequest: { pkcs10 } }),
    ).rejects.toMatchObject(refused(status.INVALID_ARGUMENT, reason));
    expect((await enrolNode(server.grpcAddress, server.authorities, 'n1', joinToken)).chain).toContain('BEGIN');
  });

  it('is refused when its request does not fit into a message of a stranger', async () => {
    const server = await ownServer();
    const certificateRequest = { pkcs10: new Uint8Array(40_000) };
    await expect(
      enrol(server.grpcAddress, server.authorities, { node: 'n1', joinToken: 'x', certificateRequest }),
    ).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

describe('an agent is turned away', () => {
  it('with the certificate of another node', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    const thief = node.agent(server.grpcAddress);
    thief.send({ hello: { node: 'n2', epoch: 'boot.1' } });
    expect(await thief.ended).toMatchObject(refused(status.PERMISSION_DENIED, /says that it is node n2.*of node n1/));
    thief.close();
  });

  it('without a certificate, with one of a foreign authority, with one that has ended, or one for servers', async () => {
    const server = await ownServer();
    const kept = await new AuthorityFolder(server.folder).load();
    if (!kept) throw new Error('no authority');
    const keys = await makeKeys();
    const key = await x509.PublicKey.create(keys.publicKey);
    const foreign = await makeAuthority(Date.now());
    const ended = await signAgent(kept.signer, 'n1', key, Date.now() - 120_000, 60_000);
    const strange = await signAgent(foreign, 'n1', key, Date.now(), 60_000);
    const show = async (certificate: x509.X509Certificate) => {
      const agent = (await enrolled(certificate.toString('pem'), keys, server.authorities)).agent(server.grpcAddress);
      const end = await agent.ended;
      agent.close();
      return end;
    };
    expect(await show(ended)).toMatchObject(refused(status.UNAUTHENTICATED, /has ended/));
    expect(await show(strange)).toMatchObject(refused(status.UNAUTHENTICATED, /another authority/));
    const nobody = new TestAgent(server.grpcAddress, ChannelCredentials.createSsl(Buffer.from(server.authorities)));
    expect(await nobody.ended).toMatchObject(refused(status.UNAUTHENTICATED, /no certificate/));
    const plain = new TestAgent(server.grpcAddress);
    expect(await plain.ended).toMatchObject({ code: status.UNAVAILABLE });
    for (const agent of [nobody, plain]) agent.close();
  });

  it('when its node is revoked, at once and until it is allowed again', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    const agent = node.agent(server.grpcAddress);
    await agent.hello('n1');
    const began = Date.now();
    await server.api('POST', '/v1/nodes/n1/revoke');
    expect(await agent.ended).toMatchObject(refused(status.PERMISSION_DENIED, /n1 was revoked/));
    expect(Date.now() - began).toBeLessThan(2000);
    await expect
      .poll(async () => (await server.api<{ entries: object[] }>('GET', '/v1/audit')).body.entries)
      .toEqual(
        expect.arrayContaining([
          expect.objectContaining({ actor: 'token-file', action: 'join-token.create' }),
          expect.objectContaining({ actor: 'token-file', action: 'node.revoke', subject: 'n1' }),
          expect.objectContaining({ action: 'node.enrol', subject: 'n1' }),
        ]),
      );
    const again = async () => {
      const next = node.agent(server.grpcAddress);
      next.send({ hello: { node: 'n1', epoch: 'boot.1' } });
      const end = await Promise.race([next.ended, next.next('welcome').then(() => 'welcome')]);
      next.close();
      return end;
    };
    expect(await again()).toMatchObject(refused(status.PERMISSION_DENIED, /was revoked/));
    const token = await server.token('node=n1');
    await expect(enrolNode(server.grpcAddress, server.authorities, 'n1', token)).rejects.toMatchObject(
      refused(status.PERMISSION_DENIED, /was revoked/),
    );
    await server.close();
    const restarted = await ownServer({}, server.folder);
    const still = node.agent(restarted.grpcAddress);
    still.send({ hello: { node: 'n1', epoch: 'boot.1' } });
    expect(await still.ended).toMatchObject(refused(status.PERMISSION_DENIED, /was revoked/));
    await restarted.api('POST', '/v1/nodes/n1/allow');
    const back = node.agent(restarted.grpcAddress);
    expect(await back.hello('n1')).toMatchObject({ window: 32 });
    for (const one of [agent, still, back]) one.close();
  });

  it('with a certificate from before the revocation, when it has to enrol anew', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    await new Promise((done) => setTimeout(done, 1100));
    await server.api('POST', '/v1/nodes/n1/revoke');
    await server.api('POST', '/v1/nodes/n1/allow?newCertificate=true');
    const old = node.agent(server.grpcAddress);
    old.send({ hello: { node: 'n1', epoch: 'boot.1' } });
    expect(await old.ended).toMatchObject(refused(status.PERMISSION_DENIED, /from before .* were revoked/));
    const fresh = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token('node=n1'));
    const agent = fresh.agent(server.grpcAddress);
    expect(await agent.hello('n1')).toMatchObject({ window: 32 });
    for (const one of [old, agent]) one.close();
  });

  it('at the end of its certificate, in the middle of a stream', async () => {
    const server = await ownServer();
    const kept = await new AuthorityFolder(server.folder).load();
    if (!kept) throw new Error('no authority');
    const keys = await makeKeys();
    const key = await x509.PublicKey.create(keys.publicKey);
    const short = await signAgent(kept.signer, 'n1', key, Date.now(), 2000);
    const agent = (await enrolled(short.toString('pem'), keys, server.authorities)).agent(server.grpcAddress);
    await agent.hello('n1');
    expect(await agent.ended).toMatchObject(refused(status.UNAUTHENTICATED, /certificate of node n1 ended at/));
    agent.close();
  }, 15_000);
});

describe('a port for agents', () => {
  it('closes connections that speak no TLS, and limits those that say nothing', async () => {
    const server = await ownServer();
    const [host, port] = server.grpcAddress.split(':') as [string, string];
    const silent = Array.from({ length: 300 }, () => connectPlain(Number(port), host).on('error', () => {}));
    let closed = 0;
    for (const socket of silent) socket.on('close', () => closed++);
    await expect.poll(() => closed, { timeout: 5000 }).toBeGreaterThanOrEqual(44);
    expect(closed).toBeLessThanOrEqual(45);
    for (const socket of silent) socket.destroy();
    const talker = connectPlain(Number(port), host);
    const gone = new Promise((done) => talker.on('close', done));
    talker.on('error', () => {});
    talker.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await gone;
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    expect(node.chain).toContain('BEGIN');
  });
});

describe('renewal over the stream', () => {
  it('gives a new certificate for the same node, and none for another', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    const agent = node.agent(server.grpcAddress);
    await agent.hello('n1');
    expect((await agent.next('authorities')).certificates).toBe(server.authorities);
    const keys = await makeKeys();
    agent.send({ certificateRequest: { pkcs10: await makeRequest(keys, 'CN=n2') } });
    expect(await agent.next('certificate')).toMatchObject({ error: expect.stringMatching(/not for CN=n1/) });
    agent.send({ certificateRequest: { pkcs10: await makeRequest(keys, 'CN=n1') } });
    const { chain } = await agent.next('certificate');
    const next = (await enrolled(chain ?? '', keys, server.authorities)).agent(server.grpcAddress);
    expect(await next.hello('n1')).toMatchObject({ window: 32 });
    for (const one of [agent, next]) one.close();
  });
});

describe('a rotation of the authority', () => {
  it('keeps the stream, loses no batch, and drops the old one only when no agent needs it', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    const agent = node.agent(server.grpcAddress);
    await agent.hello('n1');
    const { signer: oldSigner } = await agent.next('authorities');
    agent.sendBatch(batchOf(1, 1, plainFlows(5, 7, NOW)));
    expect((await server.api('POST', '/v1/ca/rotate')).status).toBe(200);
    const both = await agent.next('authorities');
    expect(both.signer).not.toBe(oldSigner);
    expect(both.certificates?.match(/BEGIN CERT/g)).toHaveLength(2);
    agent.sendBatch(batchOf(2, 6, plainFlows(5, 7, NOW)));
    expect(await agent.acknowledged(2)).toBe(10);
    const early = await server.api<{ error: { message: string } }>('POST', '/v1/ca/finish');
    expect(early).toMatchObject({ status: 409, body: { error: { message: expect.stringMatching(/: n1\b/) } } });
    expect((await server.api('POST', '/v1/ca/rotate')).status).toBe(409);

    const keys = await makeKeys();
    agent.send({ certificateRequest: { pkcs10: await makeRequest(keys, 'CN=n1') } });
    const { chain, authorities } = await agent.next('certificate');
    const renewed = await enrolled(chain ?? '', keys, authorities?.certificates ?? '');
    const next = renewed.agent(server.grpcAddress);
    expect((await next.hello('n1')).committedEventIndex).toBe(10);
    next.sendBatch(batchOf(1, 11, plainFlows(5, 7, NOW)));
    expect(await next.acknowledged(1)).toBe(15);

    expect((await server.api('POST', '/v1/ca/finish')).status).toBe(200);
    next.sendBatch(batchOf(2, 16, plainFlows(5, 7, NOW)));
    expect(await next.acknowledged(2)).toBe(20);
    const last = renewed.agent(server.grpcAddress);
    expect((await last.hello('n1')).committedEventIndex).toBe(20);
    const late = node.agent(server.grpcAddress);
    // It trusts the authority that the server was of until now, and no other.
    expect(await late.ended).toMatchObject({ code: status.UNAVAILABLE });
    for (const one of [agent, next, last, late]) one.close();
  });

  it('survives a restart in between, and ends the streams of those that are left when it is forced', async () => {
    const server = await ownServer();
    const node = await enrolNode(server.grpcAddress, server.authorities, 'n1', await server.token());
    await server.api('POST', '/v1/ca/rotate');
    await server.close();
    const again = await ownServer({}, server.folder);
    const agent = node.agent(again.grpcAddress);
    await agent.hello('n1');
    expect((await again.api('POST', '/v1/ca/finish')).status).toBe(409);
    expect((await again.api('POST', '/v1/ca/finish?force=true')).status).toBe(200);
    expect(await agent.ended).toMatchObject(refused(status.UNAUTHENTICATED, /trusted no more/));
    agent.close();
  });
});
