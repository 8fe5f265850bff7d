// SPDX-License-Identifier: Apache-2.0
//
// What hostile and careless callers get.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { batchOf, plainFlows } from '../testing/batches.js';
import { TOKEN } from '../testing/certificates.js';
import { type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';

// Megabytes go by, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000 });

const NOW = Date.now() * 1000;
const as = (token: string) => ({ authorization: `Bearer ${token}` });
const statuses = async (asks: Promise<{ status: number }>[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of await Promise.all(asks)) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe('rates', () => {
  it('one caller over its rate is told when to come again, and does not slow another', async () => {
    const server = await testServer(undefined, { limits: { requestsPerSecond: 2, requestsAtOnce: 1000 } });
    const { token } = await tokenOf(server, 'view', 'bob');
    const bob = { headers: as(token) };
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 80 }, () => fetch(`${server.httpAddress}/v1/whoami`, bob)));
    const seconds = (performance.now() - began) / 1000;
    const passed = answers.filter(({ status }) => status === 200).length;
    const limited = answers.filter(({ status }) => status === 429);
    expect(passed).toBeGreaterThanOrEqual(4);
    expect(passed).toBeLessThanOrEqual(4 + 2 * seconds + 1);
    expect(passed + limited.length).toBe(80);
    expect(limited[0]?.headers.get('retry-after')).toBe('1');
    expect(await limited[0]?.json()).toMatchObject({ error: { code: 'too_many_requests' } });
    const { status, body } = await server.ask('/v1/status');
    expect(status).toBe(200);
    expect(body).toMatchObject({ access: { requestsLimited: limited.length } });
  });

  it('who asks again over the same connection before the time is told so, and others over it are not', async () => {
    const server = await testServer(undefined, { limits: { requestsPerSecond: 0.5 } });
    const { token: bob } = await tokenOf(server, 'view', 'bob');
    const { hostname: host, port } = new URL(server.httpAddress);
    const socket = connect({ host, port: Number(port) });
    let text = '';
    socket.on('data', (data) => {
      text += data.toString();
    });
    const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    const ask = async (token: string) => {
      const count = statuses().length;
      socket.write(`GET /v1/whoami HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer ${token}\r\n\r\n`);
      await expect.poll(statuses, { interval: 5, timeout: 10_000 }).toHaveLength(count + 1);
    };
    for (const token of [bob, bob, bob, bob, 'another']) await ask(token);
    expect(statuses()).toEqual(['200', '429', '429', '429', '401']);
    expect(text.match(/retry-after: [12]\r/gi)).toHaveLength(3);
    expect(text.match(/"too_many_requests"/g)).toHaveLength(3);
    await sleep(2100);
    await ask(bob);
    expect(statuses().at(-1)).toBe('200');
    const { body } = await server.ask('/v1/status');
    expect(body).toMatchObject({ access: { requestsLimited: 3 } });
    socket.destroy();
  });

  it('wrong tokens of one address are refused without a look after some, and right ones still pass', async () => {
    const server = await testServer(undefined, { limits: { requestsAtOnce: 1000 } });
    const wrong = { headers: as('not-a-token') };
    const counts = await statuses(Array.from({ length: 200 }, () => server.ask('/v1/status', wrong)));
    expect(counts[401]).toBeLessThanOrEqual(22);
    expect((counts[401] ?? 0) + (counts[429] ?? 0)).toBe(200);
    expect((await server.ask('/v1/whoami')).status).toBe(200);
    const { entries } = (await server.ask('/v1/audit?action=access.denied')).body as { entries: object[] };
    // One at once; the others come as one more with their number, when the minute is over.
    expect(entries).toMatchObject([{ actor: 'nobody', details: { reason: 'unknown token', count: 1 } }]);
    await server.close();
    const again = await testServer(server.folder);
    const later = (await again.ask('/v1/audit?action=access.denied')).body as { entries: object[] };
    expect(later.entries).toMatchObject([{ details: { count: 199 } }, { details: { count: 1 } }]);
  });

  it('a body that is too large is refused', async () => {
    const server = await testServer();
    const body = 'x'.repeat((1 << 20) + 1);
    expect((await server.ask('/v1/policies', { method: 'PUT', body })).status).toBe(413);
  });
});

/** Opens a stream of flows by hand, and never reads. */
function mute(server: TestServer): Promise<{ closed: Promise<void>; end(): void }> {
  const { port } = new URL(server.httpAddress);
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.pause();
      socket.write(`GET /v1/flows/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
      resolve({ closed, end: () => socket.destroy() });
    });
  });
}

describe('streams', () => {
  it('are limited in number, each caller for itself, and free again when they end', async () => {
    const server = await testServer(undefined, { limits: { streamsEach: 2, streams: 3 } });
    const { token } = await tokenOf(server, 'view', 'bob');
    const open = (headers: Record<string, string>) => {
      const stop = new AbortController();
      const url = `${server.httpAddress}/v1/flows/stream`;
      return fetch(url, { headers, signal: stop.signal }).then(({ status }) => ({ status, stop }));
    };
    const own = [await open(as(TOKEN)), await open(as(TOKEN)), await open(as(TOKEN))];
    expect(own.map(({ status }) => status)).toEqual([200, 200, 429]);
    const bob = [await open(as(token)), await open(as(token))];
    expect(bob.map(({ status }) => status)).toEqual([200, 429]);
    expect((await server.ask('/v1/status')).body).toMatchObject({ access: { streams: 3, streamsRefused: 2 } });
    for (const { stop } of [...own, ...bob]) stop.abort();
    await expect
      .poll(async () => (await server.ask('/v1/status')).body, { timeout: 10_000 })
      .toMatchObject({ access: { streams: 0 } });
  });

  it('end when the token of their reader is revoked', async () => {
    const server = await testServer();
    const { headers } = await tokenOf(server, 'view', 'bob');
    const reading = await fetch(`${server.httpAddress}/v1/flows/stream`, { headers });
    await server.ask('/v1/tokens/bob', { method: 'DELETE' });
    expect(await reading.text()).toBe('');
  });

  it('one that nobody reads is dropped, and counted, while others get everything', async () => {
    const server = await testServer(undefined, { limits: { slowReaderMs: 500 } });
    const agent = server.agent();
    await agent.hello('n');
    const still = await mute(server);
    await expect.poll(async () => (await server.ask('/v1/status')).body).toMatchObject({ access: { streams: 1 } });
    const stop = new AbortController();
    const reading = await fetch(`${server.httpAddress}/v1/flows/stream`, { headers: as(TOKEN), signal: stop.signal });
    let lines = 0;
    const read = (async () => {
      for await (const chunk of reading.body ?? [])
        lines +=
          Buffer.from(chunk as Uint8Array)
            .toString()
            .split('\n').length - 1;
    })().catch(() => {});
    // Denied, so that nobody looks for their other ends.
    const denied = Array.from({ length: 1000 }, () => ({ cgroup: 7, endUs: NOW, verdict: 2, end: 2 }));
    const count = 15_000;
    for (let i = 0; i < count / 1000; i++) {
      agent.sendBatch(batchOf(i + 1, i * 1000 + 1, denied));
      await agent.acknowledged(i + 1);
    }
    await expect
      .poll(async () => (await server.ask('/v1/status')).body, { timeout: 20_000 })
      .toMatchObject({ access: { slowReadersDropped: 1 } });
    await expect.poll(() => lines, { timeout: 20_000 }).toBe(count);
    expect((await server.ask('/metrics')).body).toContain('cellwall_slow_readers_dropped 1');
    stop.abort();
    still.end();
    await still.closed;
    await read;
  });
});

describe('questions', () => {
  it('that read too much are stopped, and say how to ask for less', async () => {
    const server = await testServer(undefined, { queryRows: 10_000 });
    const agent = server.agent();
    await agent.hello('n');
    for (let i = 0; i < 30; i++) agent.sendBatch(batchOf(i + 1, i * 1000 + 1, plainFlows(1000, 7, NOW)));
    await agent.acknowledged(30);
    expect(await server.ask('/v1/flows?peer=192.0.2.1')).toMatchObject({
      status: 422,
      body: { error: { code: 'too_expensive', message: expect.stringMatching(/10,000 rows.*--since/) } },
    });
    expect((await server.ask('/v1/map')).status).toBe(422);
    // What is found quickly is not stopped by what there is besides.
    expect((await server.ask('/v1/flows?limit=10')).status).toBe(200);
    expect((await server.ask('/v1/flows?container=cgroup:7&limit=10')).status).toBe(200);
  });
});
