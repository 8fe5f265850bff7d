// SPDX-License-Identifier: Apache-2.0
//
// Changes that one asks for and another approves, with what they would have done to recorded flows.
import { expect, it } from 'vitest';
import { batchOf } from '../testing/batches.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

const NOW = Date.now() * 1000;
const policy = (name: string, network: string) => `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: ${name}, namespace: shop}
spec:
  subject: {containers: [malware]}
  egress: [{name: no-db, action: Deny, to: [{networks: [${network}]}]}]
`;

async function shop(more = {}): Promise<TestServer> {
  const server = await testServer(undefined, more);
  const agent = server.agent();
  await agent.hello('n');
  const of = (cgroupId: number, name: string) => ({ cgroupId, namespace: 'shop', pod: 'web', name });
  agent.send({ containers: { complete: true, upserted: [of(7, 'nginx'), of(8, 'malware')] } });
  const to = (cgroup: number, last: number, count: number) =>
    Array.from({ length: count }, () => ({ cgroup, endUs: NOW - 1e6, remote: [10, 0, 0, last], remotePort: 5432 }));
  agent.sendBatch(batchOf(1, 1, [...to(7, 5, 4), ...to(8, 5, 3), ...to(8, 6, 2)]));
  await agent.acknowledged(1);
  return server;
}

type Headers = { authorization: string };
const propose = (server: TestServer, headers: Headers, body: string, query = '') =>
  server.ask(`/v1/proposals?${query}`, { method: 'POST', headers, body });
const act = (server: TestServer, id: number, what: string, headers?: Headers) =>
  server.ask(`/v1/proposals/${id}/${what}?reason=because`, { method: 'POST', ...(headers && { headers }) });

it('says which recorded flows of which container it would refuse, and by which rule', async () => {
  const server = await shop();
  const { headers } = await tokenOf(server, 'propose', 'paul');
  const { status, body } = await propose(server, headers, policy('a', '10.0.0.5'), 'reason=ticket');
  expect(status).toBe(200);
  expect(body).toMatchObject({
    id: 1,
    state: 'open',
    author: expect.stringMatching(/^token:paul:/),
    reason: 'ticket',
    documents: ['shop/a'],
    stale: false,
    effect: {
      selects: { containers: 1, workloads: ['shop/web/malware'] },
      refused: 3,
      accepted: 0,
      unchanged: 6,
      unknown: 0,
      lines: [
        {
          container: 'shop/web/malware',
          peer: '10.0.0.5',
          port: 5432,
          before: 'allowed',
          after: 'denied',
          rule: 'shop/a:no-db',
          flows: 3,
          examples: [{ container: 'shop/web/malware', address: '10.0.0.5' }],
        },
      ],
    },
  });
  expect((await server.ask('/v1/policies')).body).toMatchObject({ policies: [] });
});

it('is applied by an admin who is not its author, and the audit log has who, what and how much', async () => {
  const server = await shop();
  const paul = await tokenOf(server, 'propose', 'paul');
  const ann = await tokenOf(server, 'admin', 'ann');
  await propose(server, paul.headers, policy('a', '10.0.0.5'));
  await propose(server, ann.headers, policy('b', '10.0.0.6'));
  expect((await act(server, 1, 'approve', paul.headers)).status).toBe(403);
  expect(await act(server, 2, 'approve', ann.headers)).toMatchObject({
    status: 403,
    body: { error: { message: expect.stringContaining('another admin') } },
  });
  expect(await act(server, 1, 'approve', ann.headers)).toMatchObject({ status: 200, body: { generation: 1 } });
  expect((await server.ask('/v1/policies')).body).toMatchObject({ policies: [{ key: 'shop/a' }] });
  expect((await act(server, 1, 'approve', ann.headers)).status).toBe(409);
  const { entries } = (await server.ask('/v1/audit?limit=2')).body as { entries: object[] };
  expect(entries).toMatchObject([
    {
      actor: `token:ann:${ann.id}`,
      action: 'policy.apply',
      subject: 'shop/a',
      details: {
        author: `token:paul:${paul.id}`,
        proposal: 1,
        generation: 1,
        effect: { refused: 3, accepted: 0, containers: 1 },
        document: { kind: 'ContainerPolicy' },
      },
    },
    { action: 'proposal.approved', subject: 'proposal/1', details: { reason: 'because' } },
  ]);
});

it('that is stale is not applied before its new dry run was looked at', async () => {
  const server = await shop();
  const { headers } = await tokenOf(server, 'propose', 'paul');
  await propose(server, headers, policy('a', '10.0.0.5'));
  await server.ask('/v1/policies', { method: 'PUT', body: policy('other', '10.0.0.5') });
  expect((await server.ask('/v1/proposals')).body).toMatchObject({ proposals: [{ id: 1, stale: true }] });
  expect(await act(server, 1, 'approve')).toMatchObject({
    status: 409,
    body: { error: { message: expect.stringMatching(/made again.*proposals show 1/) } },
  });
  // What the other policy refuses already is not refused newly.
  expect((await server.ask('/v1/proposals/1')).body).toMatchObject({ stale: false, effect: { refused: 0 } });
  expect((await act(server, 1, 'approve')).status).toBe(200);
});

it('can be taken back by its author alone, and rejected by admins', async () => {
  const server = await shop();
  const paul = await tokenOf(server, 'propose', 'paul');
  const pia = await tokenOf(server, 'propose', 'pia');
  for (const name of ['a', 'b']) await propose(server, paul.headers, policy(name, '10.0.0.5'));
  expect((await act(server, 1, 'withdraw', pia.headers)).status).toBe(403);
  expect((await act(server, 1, 'reject', pia.headers)).status).toBe(403);
  expect((await act(server, 1, 'withdraw', paul.headers)).body).toMatchObject({ state: 'withdrawn' });
  expect((await act(server, 2, 'reject')).body).toMatchObject({ state: 'rejected', decidedReason: 'because' });
  expect((await act(server, 2, 'approve')).status).toBe(409);
  expect((await act(server, 3, 'approve')).status).toBe(404);
  expect((await server.ask('/v1/proposals')).body).toEqual({ proposals: [] });
});

it('may be approved by its author where the server says so', async () => {
  const server = await shop({ selfApproval: true });
  const ann = await tokenOf(server, 'admin', 'ann');
  await propose(server, ann.headers, policy('a', '10.0.0.5'));
  expect((await act(server, 1, 'approve', ann.headers)).status).toBe(200);
});

it('that is wrong or changes nothing is refused, and there is an end to the number of open ones', async () => {
  const server = await shop();
  const { headers } = await tokenOf(server, 'propose', 'paul');
  expect((await propose(server, headers, policy('a', '10.0.0.1/8'))).status).toBe(422);
  await server.ask('/v1/policies', { method: 'PUT', body: policy('a', '10.0.0.5') });
  expect((await propose(server, headers, policy('a', '10.0.0.5'))).status).toBe(409);
  for (let i = 0; i < 20; i++) expect((await propose(server, headers, policy(`p${i}`, '10.0.0.9'))).status).toBe(200);
  expect(await propose(server, headers, policy('last', '10.0.0.9'))).toMatchObject({
    status: 429,
    body: { error: { message: expect.stringContaining('withdraw some') } },
  });
});

it('the change of an admin, and a deletion, leave their blast radius in the audit log', async () => {
  const server = await shop();
  const { body } = await server.ask('/v1/policies', { method: 'PUT', body: policy('a', '10.0.0.5') });
  expect(body).toMatchObject({ effect: { refused: 3 } });
  await server.ask('/v1/policies/shop/a', { method: 'DELETE' });
  expect((await server.ask('/v1/audit')).body).toMatchObject({
    entries: [
      { actor: 'token-file', action: 'policy.delete', subject: 'shop/a', details: { effect: { accepted: 3 } } },
      { action: 'policy.apply', details: { change: 'created', effect: { refused: 3, accepted: 0, containers: 1 } } },
    ],
  });
});
