// SPDX-License-Identifier: Apache-2.0
//
// Against a stand-in for the API server of Kubernetes: it answers TokenReview and SubjectAccessReview as the real one does.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { certificates } from '../testing/certificates.js';
import { temporaryFolder } from '../testing/folder.js';
import { testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const OWN = 'token-of-the-service-account';

interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly spec: {
    token?: string;
    audiences?: string[];
    user?: string;
    groups?: string[];
    resourceAttributes?: { group: string; verb: string; resource: string };
  };
}

/** rights: "verb resource" by user. Tokens are "token-of-USER", for our audience unless it says "other-audience". */
async function standInApiServer(rights: Record<string, string[]>) {
  const path = certificates();
  const asked: Asked[] = [];
  const server: Server = createServer(
    { cert: readFileSync(path('server.pem')), key: readFileSync(path('server.key')) },
    (request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        const { spec } = JSON.parse(body) as Asked;
        const { authorization } = request.headers;
        asked.push({ path: request.url ?? '', authorization, spec });
        const user = /^token-of-(\w+)/.exec(spec.token ?? '')?.[1];
        const status = request.url?.endsWith('tokenreviews')
          ? {
              authenticated: user !== undefined,
              ...(user && { user: { username: user, groups: ['system:authenticated'] } }),
              ...(!spec.token?.endsWith('other-audience') && { audiences: spec.audiences }),
            }
          : {
              allowed: (rights[spec.user ?? ''] ?? []).includes(
                `${spec.resourceAttributes?.verb} ${spec.resourceAttributes?.resource}`,
              ),
            };
        const code = authorization === `Bearer ${OWN}` ? 201 : 401;
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ status }));
      });
    },
  );
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () =>
    new Promise((closed) => {
      server.close(closed);
      server.closeAllConnections();
    });
  onTestFinished(() => void close());
  const account = join(temporaryFolder(), 'account');
  mkdirSync(account);
  writeFileSync(join(account, 'ca.crt'), readFileSync(path('ca.pem')));
  writeFileSync(join(account, 'token'), `${OWN}\n`);
  const { port } = server.address() as AddressInfo;
  return {
    asked,
    close,
    // It is asked who people are, and has nothing to list.
    options: {
      kubernetesAuth: true,
      kubernetesMode: 'off' as const,
      kubernetesApi: `https://127.0.0.1:${port}`,
      kubernetesAccount: account,
    },
  };
}

const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

it('takes the name from TokenReview and the role from SubjectAccessReview, and asks once a minute', async () => {
  const api = await standInApiServer({
    alice: ['get flows', 'propose containerpolicies', 'update containerpolicies'],
    paul: ['get flows', 'propose containerpolicies'],
    vera: ['get flows'],
  });
  const server = await testServer(undefined, { ...api.options, httpTokenFile: undefined });
  expect(server.onceToken).toBeNull();
  const who = async (user: string) => (await server.ask('/v1/whoami', as(`token-of-${user}`))).body;
  expect(await who('alice')).toMatchObject({ name: 'alice', role: 'admin', actor: 'kubernetes:alice' });
  expect(await who('paul')).toMatchObject({ role: 'propose' });
  expect(await who('vera')).toMatchObject({ role: 'view' });
  expect(api.asked[0]).toMatchObject({ spec: { audiences: ['cellwall'] } });
  expect(api.asked[1]).toMatchObject({
    spec: { user: 'alice', groups: ['system:authenticated'], resourceAttributes: { group: 'cellwall.dev' } },
  });
  const before = api.asked.length;
  for (let i = 0; i < 5; i++) await who('vera');
  expect(api.asked.length).toBe(before);
});

it('refuses tokens of nobody, of another audience, and of people without a right, and says which', async () => {
  const api = await standInApiServer({ vera: ['get flows'] });
  const server = await testServer(undefined, api.options);
  const ask = (token: string) => server.ask('/v1/whoami', as(token));
  expect((await ask('token-of-vera')).status).toBe(200);
  expect((await ask('token-of-vera-other-audience')).status).toBe(401);
  expect((await ask('stranger')).status).toBe(401);
  expect(await ask('token-of-eve')).toMatchObject({
    status: 401,
    body: { error: { message: expect.stringContaining('no role in Kubernetes') } },
  });
});

it('is closed while the API server is away, and does not show it what is ours; own tokens go on', async () => {
  const api = await standInApiServer({ vera: ['get flows'] });
  const server = await testServer(undefined, api.options);
  const bob = await tokenOf(server, 'view', 'bob');
  await server.ask('/v1/whoami', bob);
  await server.ask('/v1/whoami', as(`cellwall_${'0'.repeat(12)}_${'0'.repeat(64)}`));
  expect(api.asked).toEqual([]);
  await api.close();
  expect(await server.ask('/v1/whoami', as('token-of-vera'))).toMatchObject({
    status: 503,
    body: { error: { message: expect.stringMatching(/API server.*refused.*go on working/) } },
  });
  expect((await server.ask('/v1/whoami', { headers: bob.headers })).status).toBe(200);
});

it('wants a service account at the start', async () => {
  const options = { kubernetesAuth: true, kubernetesAccount: '/nowhere' };
  await expect(testServer(undefined, options)).rejects.toMatchObject({
    code: 'invalid_option',
    message: expect.stringContaining('/nowhere/token'),
  });
});
