// SPDX-License-Identifier: Apache-2.0
//
// Many agents on one server. They are simulated (see fleet.js); the server, the streams, TLS and the certificates are real.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServerProcess } from '../harness/cellwall.js';
import { Cleanup } from '../harness/cleanup.js';
import { Fleet } from '../harness/fleet.js';
import { measurePushes } from '../harness/pushes.js';
import { until } from '../harness/run.js';
import { usageOf } from '../harness/usage.js';

const LONG = process.env.LONG === '1';
const AGENTS = LONG ? 2000 : 200;
const CONTAINERS_EACH = 10;
const CHANGES = LONG ? 10 : 3;
const SENDING_S = LONG ? 30 : 3;
/** Longer than a stream that nothing is heard of lives. */
const QUIET_S = LONG ? 60 : 0;
/** Bounds for a machine that is busy with something else, too; `make bench` has the figures. */
const MOST_PUSH_MS = LONG ? 20_000 : 10_000;
const MOST_MIB = LONG ? 1024 : 512;

const cleanup = new Cleanup();
const folder = mkdtempSync(join(tmpdir(), 'cellwall-fleet-'));
cleanup.add('the folder', () => rmSync(folder, { recursive: true, force: true }));
const log = join(folder, 'server.log');
const figure = (text: string) => process.stdout.write(`  ${text}\n`);

let server: ServerProcess;
let fleet: Fleet;

beforeAll(async () => {
  server = await ServerProcess.start(join(folder, 'data'), log, { extra: ['--tls', 'own'] });
  cleanup.add('the server', () => server.process.stop());
  fleet = await Fleet.start(server, AGENTS, CONTAINERS_EACH);
  cleanup.add('the simulated agents', () => fleet.stop());
});
afterAll(() => cleanup.run());

const memory = () => usageOf(server.process.pid).residentMiB;

test(`${AGENTS} agents connect, each as its own node`, async () => {
  const began = Date.now();
  await fleet.connect();
  figure(`${AGENTS} simulated agents were connected in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  const { nodes } = await server.get<{ nodes: { connected: boolean }[] }>('/v1/nodes');
  expect(nodes.filter((it) => it.connected)).toHaveLength(AGENTS);
  figure(`the server has ${memory().toFixed(0)} MiB resident`);
});

test('a change of a policy reaches all of them', async () => {
  const { medianMs, p99Ms, acknowledgedMs, payloadBytes, differenceBytes } = await measurePushes(
    server,
    fleet,
    CHANGES,
  );
  figure(
    `from policy apply to ${AGENTS} agents: median ${medianMs.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, all acknowledged ` +
      `after ${acknowledgedMs.toFixed(0)} ms; ${(differenceBytes / 1000).toFixed(1)} of ${(payloadBytes / 1000).toFixed(0)} kB each`,
  );
  figure(`the server has ${memory().toFixed(0)} MiB resident`);
  expect(p99Ms).toBeLessThan(MOST_PUSH_MS);
});

test('what all of them send at once is stored, and the server goes on answering', async () => {
  await fleet.send({ rows: 100, window: 4 });
  const before = (await fleet.report()).acknowledged;
  const began = Date.now();
  const answers: number[] = [];
  while (Date.now() - began < SENDING_S * 1000) {
    const asked = Date.now();
    await server.get('/v1/status');
    answers.push(Date.now() - asked);
    await sleep(200);
  }
  const { acknowledged } = await fleet.report();
  const seconds = (Date.now() - began) / 1000;
  await fleet.send(null);
  figure(
    `${AGENTS} agents sent ${Math.round((acknowledged - before) / seconds)} events/s; an admin waited ` +
      `${Math.max(...answers)} ms at most; the server has ${memory().toFixed(0)} MiB resident`,
  );
  expect(acknowledged).toBeGreaterThan(before);
  expect(Math.max(...answers)).toBeLessThan(5000);
  const settled = await until('all that was sent is stored', async () => {
    const one = await fleet.report();
    await sleep(500);
    const two = await fleet.report();
    return one.acknowledged === two.acknowledged && two.acknowledged;
  });
  const { flows } = await server.get<{ flows: { stored: number } }>('/v1/status');
  expect(flows.stored).toBe(settled);
});

test('no stream was closed, not for silence either', async () => {
  await sleep(QUIET_S * 1000);
  const { connected, closed, reasons, heartbeats } = await fleet.report();
  expect({ connected, closed, reasons }).toEqual({ connected: AGENTS, closed: 0, reasons: expect.anything() });
  if (LONG) expect(heartbeats).toBeGreaterThan(AGENTS * 10);
  expect(readFileSync(log, 'utf8')).not.toContain('nothing heard');
  expect(memory()).toBeLessThan(MOST_MIB);
});
