// SPDX-License-Identifier: Apache-2.0
//
// Servers that are away, slow or silent, agents that are killed, and disks that are too small: what was made is stored once, or
// counted lost.
import { existsSync, readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DeliveryLab } from '../harness/delivery.js';
import { until } from '../harness/run.js';

const LONG = process.env.LONG === '1';
/** An hour of a busy node, or enough of it to fill the ring twice. */
const OUTAGE = LONG ? 10_000_000 : 250_000;
const KILLS = LONG ? 200 : 6;
const OVERLOAD_S = LONG ? 120 : 6;
const LONGEST_MS = LONG ? 1_800_000 : 120_000;

let lab: DeliveryLab;

beforeEach(async () => {
  lab = new DeliveryLab();
  await lab.startServer();
});
afterEach(() => lab.cleanup.run());

const figure = (text: string) => process.stdout.write(`  ${text}\n`);
const spoolFiles = () => (existsSync(lab.spool) ? readdirSync(lab.spool).length : 0);

/** Every event once, or counted. */
async function expectAll(lost = 0): Promise<void> {
  const { stored, lost: counted, reasons } = await lab.settled(LONGEST_MS);
  expect({ accounted: stored + counted, lost: counted, reasons }).toEqual({ accounted: lab.made, lost, reasons });
  await lab.server.process.stop();
  const { rows, distinct, flows } = lab.rows();
  expect({ distinct, flows }).toEqual({ distinct: rows, flows: stored });
}

test(`after an outage of ${OUTAGE} events nothing is missing and nothing is there twice`, async () => {
  lab.startDriver(['--spool-bytes', String(8 * 2 ** 30)]);
  await lab.produce(1000);
  await lab.settled();
  await lab.server.process.stop();
  await lab.produce(OUTAGE);
  await until('the ring is not crowded', () => spoolFiles() > 0);
  const began = Date.now();
  await lab.startServer();
  await lab.settled(LONGEST_MS);
  const seconds = (Date.now() - began) / 1000;
  figure(`${OUTAGE} events of an outage were delivered in ${seconds.toFixed(1)} s`);
  expect((await lab.counters()).queue_bytes).toBeLessThan(8 << 20);
  await expectAll();
});

test('a spool that is too small for the outage: sent = stored + counted lost', async () => {
  lab.startDriver(['--spool-bytes', String(LONG ? 64 << 20 : 2 << 20)]);
  await lab.produce(1000);
  await lab.settled();
  await lab.server.process.stop();
  // So many peers that few flows are alike.
  await lab.produce(OUTAGE, ['--denied-in', '100', '--peers', '60000']);
  await lab.startServer();
  const { stored, lost, reasons } = await lab.settled(LONGEST_MS);
  figure(`${OUTAGE} events and a small spool: ${stored} stored, ${lost} lost ${JSON.stringify(reasons)}`);
  expect(lost).toBeGreaterThan(OUTAGE / 10);
  expect(reasons.spoolFull).toBe(lost);
  const { losses } = await lab.server.get<{ losses: { count: number; first: string; last: string }[] }>(
    '/v1/losses?limit=10000',
  );
  expect(losses.reduce((sum, it) => sum + it.count, 0)).toBe(lost);
  for (const { first, last } of losses) expect(Date.parse(last)).toBeGreaterThanOrEqual(Date.parse(first));
  await expectAll(lost);
});

test('at ten times what the server can store, memory is bounded and no refusal is lost', async () => {
  // Too little for what even a slow machine makes.
  lab.startDriver(['--spool-bytes', String(LONG ? 8 << 20 : 2 << 20)]);
  const usual = lab.slowServer(20, 180);
  const began = Date.now();
  const { made } = await lab.produce(60_000);
  await lab.settled();
  const rate = made / ((Date.now() - began) / 1000);
  const events = Math.round(rate * 10 * OVERLOAD_S);
  // So many pairs that few flows of a batch are alike: merging is not enough.
  const busy = ['--denied-in', '50', '--peers', '997'];
  const { ringFull } = await lab.produce(events, ['--rate', String(rate * 10), ...busy, '--lossy']);
  usual();
  const { stored, lost, reasons } = await lab.settled(LONGEST_MS);
  const counters = await lab.counters();
  figure(
    `the server stores ${Math.round(rate)}/s, ${Math.round(rate * 10)}/s for ${OVERLOAD_S} s: ${stored} stored, ${lost} lost ` +
      `${JSON.stringify(reasons)}, ${((counters.most_resident_bytes ?? 0) / 2 ** 20).toFixed(1)} MiB resident at most`,
  );
  expect(reasons).toMatchObject({ ringFull, spoolFull: lost - ringFull });
  expect(lost).toBeGreaterThan(events / 10);
  // The ring itself is 16 MiB of it.
  expect(counters.most_resident_bytes).toBeLessThan(100 << 20);
  await expectAll(lost);
  if (ringFull === 0) expect(lab.rows().denied).toBe(lab.denied);
});

test(`${KILLS} kills of the agent at random moments, with the spool in use, lose nothing`, async () => {
  lab.startDriver();
  const producing = lab.produce(KILLS * 20_000, ['--rate', '40000']);
  producing.catch(() => {});
  for (let kill = 0; kill < KILLS; kill++) {
    if (kill % 4 === 1) await lab.server.process.stop('SIGKILL');
    await sleep(Math.random() * 600);
    await lab.driver.stop('SIGKILL');
    lab.startDriver();
    if (kill % 4 === 3) await lab.startServer();
  }
  await producing;
  if (!lab.server.process.running) await lab.startServer();
  await expectAll();
});

test('what waits when the machine goes down comes with its names after the next boot', async () => {
  lab.startDriver();
  await until('the agent is connected', async () => (await lab.counters()).lag_us !== undefined);
  await lab.server.process.stop();
  await lab.produce(50_000);
  await lab.driver.stop();
  expect(spoolFiles()).toBeGreaterThan(0);
  lab.nextBoot();
  await lab.startServer();
  lab.startDriver();
  await lab.produce(1000);
  await lab.settled();
  const { flows } = await lab.server.get<{ flows: { container: { name: string } }[] }>('/v1/flows?limit=1000');
  expect(new Set(flows.map((it) => it.container.name.replace(/\d+$/, '')))).toEqual(new Set(['chaos/driver/c']));
  await until('the spool is empty', () => spoolFiles() === 0);
  await expectAll();
});

test('an agent that is stopped has delivered, or has on disk, all that there was', async () => {
  lab.startDriver();
  await lab.produce(20_000);
  // What is not read yet stays where it is.
  await until('the ring is being read', async () => (await lab.counted()).stored > 0);
  await until('the ring is read', async () => (await lab.counters()).unread_events === 0);
  await lab.driver.stop();
  // In two seconds a slow machine may not deliver all; then the rest is on disk.
  const first = await lab.counted();
  expect(first.lost).toBe(0);
  if (spoolFiles() === 0) expect(first.stored).toBe(20_000);
  lab.startDriver();
  await until('the agent is connected', async () => (await lab.counters()).unread_events === 0);
  process.kill(lab.server.process.pid, 'SIGSTOP');
  await lab.produce(20_000);
  await lab.driver.stop();
  process.kill(lab.server.process.pid, 'SIGCONT');
  expect(spoolFiles()).toBeGreaterThan(0);
  lab.startDriver();
  await expectAll();
});

test('a server that accepts and says nothing is left for the next of the list', async () => {
  const silent = await new Promise<Server>((resolve) => {
    const server = createServer(() => {}).listen(0, '127.0.0.1', () => resolve(server));
  });
  const { port } = silent.address() as { port: number };
  try {
    lab.startDriver([], `127.0.0.1:${port},${lab.server.grpc}`);
    await lab.produce(1000);
    expect(await lab.settled(40_000)).toMatchObject({ stored: 1000, lost: 0 });
  } finally {
    silent.close();
  }
});

test.runIf(LONG)('a stream whose server falls silent in the middle of a write is given up', async () => {
  lab.startDriver();
  await lab.produce(1000);
  await lab.settled();
  process.kill(lab.server.process.pid, 'SIGSTOP');
  // More than a stream's windows hold.
  await lab.produce(60_000);
  await sleep(18_000);
  process.kill(lab.server.process.pid, 'SIGCONT');
  await expectAll();
});
