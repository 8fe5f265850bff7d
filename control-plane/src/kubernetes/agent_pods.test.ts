// SPDX-License-Identifier: Apache-2.0
//
// Against a stand-in for the API server, which knows the tokens below and speaks real TLS. No Kubernetes runs here.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { AuthorityFolder } from '../identity/authority_folder.js';
import { certificates } from '../testing/certificates.js';
import { enrol, enrolled, makeKeys, makeRequest } from '../testing/enrolled.js';
import { temporaryFolder } from '../testing/folder.js';
import { testServer } from '../testing/server.js';
import { AgentPods } from './agent_pods.js';
import { KubernetesApi } from './api.js';

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

const ACCOUNT = 'system:serviceaccount:cellwall:agent';
const extra = (more: object) => ({
  'authentication.kubernetes.io/pod-name': ['agent-1'],
  'authentication.kubernetes.io/pod-uid': ['uid-1'],
  ...more,
});
const onNode = { 'authentication.kubernetes.io/node-name': ['n1'] };

const TOKENS: Readonly<Record<string, object>> = {
  good: { authenticated: true, audiences: ['cellwall-agent'], user: { username: ACCOUNT, extra: extra(onNode) } },
  old: { authenticated: true, audiences: ['cellwall-agent'], user: { username: ACCOUNT, extra: extra({}) } },
  reborn: {
    authenticated: true,
    audiences: ['cellwall-agent'],
    user: { username: ACCOUNT, extra: extra({ 'authentication.kubernetes.io/pod-uid': ['uid-0'] }) },
  },
  unbound: { authenticated: true, audiences: ['cellwall-agent'], user: { username: ACCOUNT } },
  tenant: {
    authenticated: true,
    audiences: ['cellwall-agent'],
    user: { username: 'system:serviceaccount:shop:default', extra: extra(onNode) },
  },
  everybody: { authenticated: true, user: { username: ACCOUNT, extra: extra(onNode) } },
};

/** The options of a server in a pod. */
async function standIn(): Promise<{ api: string; folder: string; asked: string[] }> {
  const path = certificates();
  const folder = join(temporaryFolder(), 'account');
  mkdirSync(folder);
  writeFileSync(join(folder, 'token'), 'of the server\n');
  writeFileSync(join(folder, 'ca.crt'), readFileSync(path('ca.pem')));
  const asked: string[] = [];
  const server = createServer(
    { cert: readFileSync(path('server.pem')), key: readFileSync(path('server.key')) },
    (request, response) => {
      let text = '';
      request.on('data', (part: Buffer) => {
        text += part.toString();
      });
      request.on('end', () => {
        asked.push(`${request.method} ${request.url} ${request.headers.authorization}`);
        const pod = { metadata: { uid: 'uid-1' }, spec: { nodeName: 'n7' } };
        const token = request.method === 'POST' ? (JSON.parse(text) as { spec: { token: string } }).spec.token : '';
        if (token === 'broken') response.statusCode = 500;
        response.end(
          JSON.stringify(request.method === 'GET' ? pod : { status: TOKENS[token] ?? { error: 'it has expired' } }),
        );
      });
    },
  );
  open.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { api: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, folder, asked };
}

describe('the token of an agent in a pod', () => {
  it('tells the node of its pod, from the token or from the pod', async () => {
    const { asked, ...options } = await standIn();
    const pods = new AgentPods(new KubernetesApi(options), 'cellwall/agent');
    expect(await pods.review('good')).toMatchObject({ node: 'n1', who: `${ACCOUNT} (pod agent-1)` });
    expect(asked).toEqual(['POST /apis/authentication.k8s.io/v1/tokenreviews Bearer of the server']);
    expect(await pods.review('old')).toMatchObject({ node: 'n7' });
    expect(asked.at(-1)).toContain('GET /api/v1/namespaces/cellwall/pods/agent-1 ');
  });

  it.each([
    ['nonsense', /audience cellwall-agent: it has expired/],
    ['everybody', /audience cellwall-agent/],
    ['tenant', /of system:serviceaccount:shop:default, and not of/],
    ['unbound', /bound to no pod/],
    ['reborn', /another one than that of the token/],
    ['', /no token/],
    ['broken', /answered with 500/],
  ])('is refused when it is "%s"', async (token, reason) => {
    const { asked: _, ...options } = await standIn();
    const pods = new AgentPods(new KubernetesApi(options), 'cellwall/agent');
    await expect(pods.review(token)).rejects.toThrowError(reason);
  });

  it('gets a certificate for that node, and for no other', async () => {
    const { api, folder } = await standIn();
    const server = await testServer(undefined, {
      tls: 'own',
      kubernetesAgents: 'cellwall/agent',
      kubernetesApi: api,
      kubernetesAccount: folder,
    });
    const kept = await new AuthorityFolder(server.folder).load();
    const authorities = kept?.signer.certificatePem ?? '';
    const keys = await makeKeys();
    const ask = async (node: string, serviceAccountToken: string) =>
      enrol(server.grpcAddress, authorities, {
        node,
        serviceAccountToken,
        certificateRequest: { pkcs10: await makeRequest(keys, `CN=${node}`) },
      });
    await expect(ask('n2', 'good')).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringMatching(/runs on node n1, and not on n2/),
    });
    const { certificate } = await ask('n1', 'good');
    const agent = (await enrolled(certificate?.chain ?? '', keys, authorities)).agent(server.grpcAddress);
    expect(await agent.hello('n1')).toMatchObject({ window: 32 });
    // Its certificate may be lost: a pod may come as often as it is started.
    expect((await ask('n1', 'good')).certificate?.chain).toContain('BEGIN');
    agent.close();
  });
});
