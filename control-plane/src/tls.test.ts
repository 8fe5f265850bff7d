// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import { startServer } from './app.js';
import { TestAgent } from './testing/agent.js';
import { certificates, TOKEN } from './testing/certificates.js';
import { temporaryFolder } from './testing/folder.js';
import { optionsFor, testServer } from './testing/server.js';

describe('with TLS', () => {
  it('takes agents and people that show what they must, and no others', async () => {
    const path = certificates();
    const server = await testServer(undefined, {
      tlsCert: path('server.pem'),
      tlsKey: path('server.key'),
      tlsClientCa: path('ca.pem'),
      httpTokenFile: path('token'),
    });
    const authority = readFileSync(path('ca.pem'));
    const known = new TestAgent(
      server.grpcAddress,
      ChannelCredentials.createSsl(authority, readFileSync(path('agent.key')), readFileSync(path('agent.pem'))),
    );
    expect(await known.hello('agent')).toMatchObject({ window: 32 });
    const unknown = new TestAgent(server.grpcAddress, ChannelCredentials.createSsl(authority));
    const plain = new TestAgent(server.grpcAddress);
    expect(await unknown.ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining('it shows no certificate'),
    });
    expect(await plain.ended).toMatchObject({ code: status.UNAVAILABLE });
    for (const agent of [known, unknown, plain]) agent.close();

    const answer = await new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${TOKEN}` };
      const asked = request(`${server.httpAddress}/v1/status`, { ca: authority, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', reject);
      asked.end();
    });
    expect(answer).toBe(200);
  });

  it('takes up certificates that were replaced, and keeps those before while the files do not go together', async () => {
    const [path, next] = [certificates(), certificates()];
    const files = { tlsCert: path('server.pem'), tlsKey: path('server.key'), tlsClientCa: path('ca.pem') };
    const server = await testServer(undefined, { ...files, httpTokenFile: path('token'), tlsLookMs: 20 });
    const [before, after] = [path, next].map((of) => readFileSync(of('ca.pem')));
    const ask = (ca: Buffer | undefined) =>
      new Promise((resolve) => {
        const headers = { authorization: `Bearer ${TOKEN}` };
        const asked = request(`${server.httpAddress}/v1/status`, { ca, headers, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        asked.on('error', (error) => resolve((error as NodeJS.ErrnoException).code));
        asked.end();
      });
    copyFileSync(next('server.key'), path('server.key'));
    await new Promise((done) => setTimeout(done, 200));
    expect(await ask(before)).toBe(200);
    for (const name of ['server.pem', 'ca.pem']) copyFileSync(next(name), path(name));
    await vi.waitFor(async () => expect(await ask(after)).toBe(200), { timeout: 20_000, interval: 50 });
    expect(await ask(before)).not.toBe(200);
    const key = [readFileSync(next('agent.key')), readFileSync(next('agent.pem'))] as const;
    const agent = new TestAgent(server.grpcAddress, ChannelCredentials.createSsl(after as Buffer, ...key));
    expect(await agent.hello('agent')).toMatchObject({ window: 32 });
    agent.close();
  });

  it('lets a given certificate be the node that it names, or any if told so', async () => {
    const path = certificates();
    const tls = { tlsCert: path('server.pem'), tlsKey: path('server.key'), tlsClientCa: path('ca.pem') };
    const connect = (address: string) =>
      new TestAgent(
        address,
        ChannelCredentials.createSsl(
          readFileSync(path('ca.pem')),
          readFileSync(path('agent.key')),
          readFileSync(path('agent.pem')),
        ),
      );
    const strict = connect((await testServer(undefined, tls)).grpcAddress);
    strict.send({ hello: { node: 'n1', epoch: 'boot.1' } });
    expect(await strict.ended).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('shows a certificate of node agent'),
    });
    const loose = connect((await testServer(undefined, { ...tls, tlsClientNames: 'any' })).grpcAddress);
    expect(await loose.hello('n1')).toMatchObject({ window: 32 });
    for (const agent of [strict, loose]) agent.close();
  });

  it.each([
    ['a key of another certificate', 'server.pem', 'agent.key'],
    ['a certificate that is cut off', 'cut.pem', 'server.key'],
  ])('refuses %s at the start', async (_, cert, key) => {
    const path = certificates();
    writeFileSync(path('cut.pem'), readFileSync(path('server.pem')).subarray(0, 200));
    const options = { ...optionsFor(temporaryFolder()), tlsCert: path(cert), tlsKey: path(key) };
    await expect(startServer(options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(path(cert)),
    });
  });
});
