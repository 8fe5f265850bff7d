// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { v1 } from '../ingest/wire.js';
import { batchOf, plainFlows } from '../testing/batches.js';
import { testServer } from '../testing/server.js';

const NOW = Date.now() * 1000;

function policy(name: string, containers: string[]): string {
  return JSON.stringify({
    apiVersion: 'cellwall.dev/v1alpha1',
    kind: 'ContainerPolicy',
    metadata: { name },
    spec: {
      ...(containers.length > 0 && { subject: { containers } }),
      egress: [{ name: 'no-db', action: 'Deny', to: [{ networks: ['10.0.0.5'] }] }],
    },
  });
}

const put = (body: string) => ({ method: 'PUT', body });

describe('a stream', () => {
  it('begins with a welcome that tells what is stored and how much may be under way', async () => {
    const agent = (await testServer()).agent();
    expect(await agent.hello('n')).toMatchObject({ committedEventIndex: 0, window: 32, heartbeatMilliseconds: 5000 });
  });

  it('acknowledges a batch when its rows can be read', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(300, 7, NOW)));
    expect(await agent.acknowledged(1)).toBe(300);
    const { body } = await server.ask('/v1/flows?limit=1000');
    expect((body as { flows: unknown[] }).flows).toHaveLength(300);
  });

  it('resumes after a restart of the server, drops duplicates and counts a hole', async () => {
    const first = await testServer();
    const agent = first.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, plainFlows(10, 7, NOW)));
    await agent.acknowledged(1);
    await first.close();
    const server = await testServer(first.folder);
    const again = server.agent();
    expect((await again.hello('n')).committedEventIndex).toBe(10);
    again.sendBatch(batchOf(1, 6, plainFlows(10, 7, NOW)));
    again.sendBatch(batchOf(2, 20, plainFlows(1, 7, NOW), { holeReason: 2 }));
    expect(await again.acknowledged(2)).toBe(20);
    const { body } = await server.ask('/v1/status');
    expect(body).toMatchObject({ flows: { stored: 16 }, lost: { queueFull: 4 } });
  });

  it('gives way to a newer stream of the same node', async () => {
    const server = await testServer();
    const old = server.agent();
    await old.hello('n');
    const fresh = server.agent();
    await fresh.hello('n');
    expect(await old.ended).toMatchObject({ code: status.ABORTED, details: expect.stringContaining('newer stream') });
    expect((await server.ask('/v1/status')).body).toMatchObject({ nodes: { connected: 1, known: 1 } });
  });

  it('is refused when it does not begin with hello', async () => {
    const agent = (await testServer()).agent();
    agent.send({ heartbeat: { number: 1 } });
    expect(await agent.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('hello'),
    });
  });

  it('is closed by a malformed batch, of which nothing is stored', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    agent.sendBatch(batchOf(1, 1, [], { ended: { rows: 3 } }));
    expect(await agent.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('malformed batch'),
    });
    expect((await server.ask('/v1/status')).body).toMatchObject({ flows: { stored: 0 } });
  });

  it('answers heartbeats', async () => {
    const agent = (await testServer()).agent();
    await agent.hello('n');
    agent.send({ heartbeat: { number: 41 } });
    expect(await agent.next('heartbeat')).toMatchObject({ number: 41 });
  });
});

describe('rule sets', () => {
  it('are pushed at each change, with the digest of their bytes', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    await server.ask('/v1/policies', put(policy('one', ['web'])));
    const update = await agent.next('ruleSets');
    expect(update.generation).toBe(1);
    expect(update.digest).toEqual(
      createHash('sha256')
        .update(update.payload as Uint8Array)
        .digest(),
    );
    await server.ask('/v1/policies/-/one', { method: 'DELETE' });
    expect(await agent.next('ruleSets')).toMatchObject({ generation: 2 });
  });

  it('are pushed to an agent that connects later, and after a restart with the same numbers of rules', async () => {
    const first = await testServer();
    await first.ask('/v1/policies', put(policy('one', ['web'])));
    const before = first.agent();
    await before.hello('n');
    const { payload } = await before.next('ruleSets');
    await first.close();
    const again = (await testServer(first.folder)).agent();
    await again.hello('n');
    expect((await again.next('ruleSets')).payload).toEqual(payload);
  });

  it('are amended when a container is selected by a new combination of policies', async () => {
    const server = await testServer();
    await server.ask('/v1/policies', put(`${policy('one', ['web'])}\n---\n${policy('two', [])}`));
    const agent = server.agent();
    await agent.hello('n');
    const { payload } = await agent.next('ruleSets');
    const sets = v1.RuleSets.decode(payload as Uint8Array);
    expect(sets.ruleSets.map((it) => it.policies)).toEqual([[0], [1]]);
    agent.send({ containers: { upserted: [{ cgroupId: 7, name: 'web', addresses: ['10.0.0.9'] }] } });
    const amendment = await agent.next('amendment');
    expect(amendment).toMatchObject({ generation: 1, baseRevision: sets.revision });
    expect(amendment.ruleSets?.map((it) => it.policies)).toEqual([[0, 1]]);
    expect(amendment.addresses?.map((it) => (it.address as Uint8Array).at(-1))).toEqual([9]);
  });

  it('are amended on every node when a container comes to one or goes, and when its agent connects', async () => {
    const server = await testServer();
    await server.ask('/v1/policies', put(policy('one', ['web'])));
    const other = server.agent();
    await other.hello('other');
    await other.next('ruleSets');
    const agent = server.agent();
    await agent.hello('n', 'boot.1', ['192.168.0.7']);
    expect((await other.next('amendment')).addresses).toMatchObject([{ node: 'n' }]);
    const web = { cgroupId: 7, name: 'web', addresses: ['10.0.0.9', '192.168.0.7'] };
    agent.send({ containers: { upserted: [web] } });
    const came = await other.next('amendment');
    expect(came.addresses?.map((it) => [(it.address as Uint8Array).at(-1), it.node])).toEqual([[9, '']]);
    agent.send({ containers: { removed: [7] } });
    const went = await other.next('amendment');
    expect(went).toMatchObject({ baseRevision: came.revision, addresses: [] });
    expect(went.removedAddresses?.map((it) => it.at(-1))).toEqual([9]);
  });

  it('are sent whole to an agent that refuses an amendment, once', async () => {
    const server = await testServer();
    await server.ask('/v1/policies', put(policy('one', ['web'])));
    const agent = server.agent();
    await agent.hello('n');
    await agent.next('ruleSets');
    agent.send({ containers: { upserted: [{ cgroupId: 7, name: 'web', addresses: ['10.0.0.9'] }] } });
    const { revision } = await agent.next('amendment');
    agent.send({ applied: { generation: 1, error: 'another revision is in force', rejectedGeneration: 1 } });
    const { payload } = await agent.next('ruleSets');
    const sets = v1.RuleSets.decode(payload as Uint8Array);
    expect(sets).toMatchObject({ generation: 1, revision });
    expect(sets.addresses.map((it) => (it.address as Uint8Array).at(-1))).toEqual([9]);
    agent.send({ applied: { generation: 0, error: 'the map is full', rejectedGeneration: 1 } });
    agent.send({ heartbeat: { number: 5 } });
    expect(await agent.nextOf('ruleSets', 'heartbeat')).toMatchObject({ heartbeat: { number: 5 } });
  });

  it('of another generation are sent as a difference to an agent that takes it, and whole when it refuses', async () => {
    const server = await testServer();
    await server.ask('/v1/policies', put(`${policy('one', ['web'])}\n---\n${policy('two', ['db'])}`));
    const agent = server.agent();
    await agent.hello('n', 'boot.1', [], true);
    const before = v1.RuleSets.decode((await agent.next('ruleSets')).payload as Uint8Array);
    const older = server.agent();
    await older.hello('older');
    await older.next('ruleSets');
    await server.ask('/v1/policies', put(policy('two', ['db']).replace('10.0.0.5', '10.0.0.6')));
    const difference = await agent.next('difference');
    expect(difference).toMatchObject({ baseGeneration: 1, baseRevision: before.revision, generation: 2, policies: [] });
    expect(difference.ruleSets?.map((it) => it.policies)).toEqual([before.ruleSets[1]?.policies]);
    expect((await older.next('ruleSets')).generation).toBe(2);
    agent.send({ applied: { generation: 1, error: 'another revision is in force', rejectedGeneration: 2 } });
    expect((await agent.next('ruleSets')).generation).toBe(2);
  });

  it('show in the nodes list what is applied, and why the newest is not', async () => {
    const server = await testServer();
    const agent = server.agent();
    await agent.hello('n');
    agent.send({ applied: { generation: 3, error: 'the map is full', rejectedGeneration: 4 } });
    agent.send({ heartbeat: { number: 1 } });
    await agent.next('heartbeat');
    await expect
      .poll(async () => (await server.ask('/v1/nodes')).body)
      .toMatchObject({ nodes: [{ name: 'n', connected: true, generation: { applied: 3, error: 'the map is full' } }] });
  });
});
