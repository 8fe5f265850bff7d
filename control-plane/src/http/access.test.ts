// SPDX-License-Identifier: Apache-2.0
//
// Who may call which route.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { ROLES } from '../access/roles.js';
import { startServer } from '../app.js';
import { TOKEN } from '../testing/certificates.js';
import { temporaryFolder } from '../testing/folder.js';
import { optionsFor, type TestServer, testServer } from '../testing/server.js';
import { tokenOf } from '../testing/tokens.js';
import { checkDeclared, REQUIRED } from './required_roles.js';

const as = (token: string) => ({ authorization: `Bearer ${token}` });
const post = (body: object) => ({
  method: 'POST',
  body: JSON.stringify(body),
});

describe('roles', () => {
  it('a route that declares no role keeps the server from starting, as a declaration without a route does', () => {
    const all = Object.keys(REQUIRED).map((key) => {
      const [method = '', path = ''] = key.replace(/\?.*/, '').split(' ');
      return { method, path };
    });
    expect(() => checkDeclared(all)).not.toThrow();
    expect(() => checkDeclared([...all, { method: 'GET', path: '/v1/new' }])).toThrow('GET /v1/new');
    expect(() => checkDeclared(all.slice(1))).toThrow('GET /healthz');
  });

  it('every route is open to the roles that it declares, and closed to the others', async () => {
    const server = await testServer(undefined, { limits: { requestsPerSecond: 1000 } });
    const tokens = new Map<string, string>([['nobody', '']]);
    for (const role of ROLES) tokens.set(role, (await tokenOf(server, role)).token);
    const levels = ['open', ...ROLES];
    const wrong: string[] = [];
    for (const [key, needed] of Object.entries(REQUIRED)) {
      const [method = '', path = ''] = key.split(' ');
      // Those that cannot end, or that end what this test is made with.
      const url = path.replace(/:\w+/g, '999');
      for (const [who, token] of tokens) {
        const stop = new AbortController();
        const headers: Record<string, string> = who === 'nobody' ? {} : as(token);
        const body = ['POST', 'PUT'].includes(method) ? { body: '{' } : {};
        if (path === '/v1/logout' && who !== 'nobody') continue;
        const answer = await fetch(server.httpAddress + url, { method, headers, ...body, signal: stop.signal });
        const text = path.endsWith('/stream') ? '' : await answer.text();
        stop.abort();
        // 429: nobody has knocked too often.
        const passes = ![401, 403, 429].includes(answer.status);
        const level = who === 'nobody' ? 0 : levels.indexOf(who);
        // The login itself wants the one-time token, whoever asks.
        const should = path === '/v1/login' ? passes : level >= levels.indexOf(needed);
        if (passes !== should) wrong.push(`${who} ${key}: ${answer.status} ${text}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('says who one is, what is missing, and writes the denial down', async () => {
    const server = await testServer();
    const { id, token } = await tokenOf(server, 'view', 'bob');
    expect((await server.ask('/v1/whoami', { headers: as(token) })).body).toMatchObject({ name: 'bob', role: 'view' });
    expect(await server.ask('/v1/policies', { method: 'PUT', body: '', headers: as(token) })).toMatchObject({
      status: 403,
      body: { error: { code: 'forbidden', message: expect.stringMatching(/bob has the role view.*needs admin/) } },
    });
    await expect
      .poll(async () => (await server.ask('/v1/audit?action=access.denied')).body)
      .toMatchObject({
        entries: [
          {
            actor: `token:bob:${id}`,
            subject: 'PUT /v1/policies',
            details: { address: '127.0.0.1', reason: 'needs admin, is view', count: 1 },
          },
        ],
      });
  });
});

describe('tokens', () => {
  it('are kept as hashes only, and told without their secrets', async () => {
    const server = await testServer();
    const { token, id } = await tokenOf(server, 'propose', 'ci');
    expect(token).toMatch(/^cellwall_[0-9a-f]{12}_[0-9a-f]{64}$/);
    const { body } = await server.ask('/v1/tokens');
    expect(body).toMatchObject({ tokens: [{ id, name: 'ci', role: 'propose', state: 'valid', lastUsed: null }] });
    const secret = token.slice(-64);
    expect(JSON.stringify(body)).not.toContain(secret);
    expect(JSON.stringify((await server.ask('/v1/audit')).body)).not.toContain(secret);
    await server.close();
    for (const file of ['state.db', 'state.db-wal'].map((name) => join(server.folder, name))) {
      try {
        expect(readFileSync(file).includes(secret)).toBe(false);
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOENT');
      }
    }
  });

  it('end: revoked at once, expired by the clock, and say so', async () => {
    const first = await testServer();
    const bob = await tokenOf(first, 'view', 'bob');
    const eve = await tokenOf(first, 'view', 'eve');
    const ask = (server: TestServer, { token }: { token: string }) => server.ask('/v1/whoami', { headers: as(token) });
    expect((await ask(first, bob)).status).toBe(200);
    expect((await first.ask('/v1/tokens/bob', { method: 'DELETE' })).body).toMatchObject({ state: 'revoked' });
    expect(await ask(first, bob)).toMatchObject({
      status: 401,
      body: { error: { message: expect.stringContaining('revoked token') } },
    });
    expect((await first.ask('/v1/tokens/bob', { method: 'DELETE' })).status).toBe(404);
    await first.close();
    const state = new Sqlite(join(first.folder, 'state.db'));
    state.prepare('UPDATE tokens SET expires_us = ? WHERE id = ?').run(Date.now() * 1000, eve.id);
    state.close();
    const second = await testServer(first.folder);
    expect((await ask(second, bob)).status).toBe(401);
    expect(await ask(second, eve)).toMatchObject({
      status: 401,
      body: { error: { message: expect.stringContaining('expired token') } },
    });
  });

  it('with a wrong secret, a wrong id or something behind them are not taken', async () => {
    const server = await testServer();
    const { token } = await tokenOf(server, 'admin', 'alice');
    const flipped = token.slice(0, -1) + (token.endsWith('0') ? '1' : '0');
    const [, id = '', secret] = token.split('_');
    const other = `cellwall_${id.replace(/^./, id.startsWith('0') ? '1' : '0')}_${secret}`;
    for (const wrong of [flipped, other, `${token}0`, token.slice(0, -1), token.toUpperCase(), 'cellwall__', ' '])
      expect([wrong, (await server.ask('/v1/whoami', { headers: as(wrong) })).status]).toEqual([wrong, 401]);
  });

  it('have a name that is theirs alone while they are valid', async () => {
    const server = await testServer();
    await tokenOf(server, 'view', 'bob');
    const make = (name: string) =>
      server.ask('/v1/tokens', {
        ...post({ name, role: 'view', days: null }),
        headers: { ...as(TOKEN), 'content-type': 'application/json' },
      });
    expect((await make('bob')).status).toBe(409);
    expect((await make('a:b')).status).toBe(400);
    await server.ask('/v1/tokens/bob', { method: 'DELETE' });
    expect((await make('bob')).status).toBe(200);
  });

  it('remember when they were used last, to a minute, also after a restart', async () => {
    const first = await testServer();
    const { token } = await tokenOf(first, 'view', 'bob');
    await first.ask('/v1/whoami', { headers: as(token) });
    await first.close();
    const second = await testServer(first.folder);
    const { tokens } = (await second.ask('/v1/tokens')).body as { tokens: { lastUsed: string }[] };
    expect(Date.now() - Date.parse(tokens[0]?.lastUsed ?? '')).toBeLessThan(60_000);
  });
});

describe('the first login', () => {
  const exchange = (address: string, token: string, name = 'me') =>
    fetch(`${address}/v1/login`, {
      ...post({ name }),
      headers: { ...as(token), 'content-type': 'application/json' },
    });

  it('is by a token that is good once, and for nothing else', async () => {
    const folder = temporaryFolder();
    const server = await testServer(folder, { httpTokenFile: undefined });
    const once = server.onceToken ?? '';
    expect(once).toMatch(/^cellwall_once_[0-9a-f]{64}$/);
    expect((await server.ask('/v1/status', { headers: as(once) })).status).toBe(401);
    expect((await exchange(server.httpAddress, `cellwall_once_${'0'.repeat(64)}`)).status).toBe(401);
    const [one, other] = await Promise.all([exchange(server.httpAddress, once), exchange(server.httpAddress, once)]);
    expect([one.status, other.status].sort()).toEqual([200, 401]);
    const { token } = (await (one.status === 200 ? one : other).json()) as { token: string };
    expect((await server.ask('/v1/whoami', { headers: as(token) })).body).toMatchObject({ name: 'me', role: 'admin' });
    await server.close();
    const again = await startServer(optionsFor(folder));
    expect(again.onceToken).toBeNull();
    await again.close();
  });

  it('is not offered where there is a token file, and again where the last admin was revoked', async () => {
    const folder = temporaryFolder();
    const first = await testServer(folder);
    expect(first.onceToken).toBeNull();
    const { id } = await tokenOf(first, 'admin', 'alice');
    await first.ask(`/v1/tokens/${id}`, { method: 'DELETE' });
    await first.close();
    const second = await startServer(optionsFor(folder));
    expect(second.onceToken).not.toBeNull();
    await second.close();
  });
});
