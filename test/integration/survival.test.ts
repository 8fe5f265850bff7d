// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connector, type Tally } from '../harness/connector.js';
import { Lab } from '../harness/lab.js';
import type { Pod } from '../harness/pods.js';
import { Background } from '../harness/run.js';

/** LONG=1: as long as an outage of a server is; otherwise long enough for its effects. */
const OUTAGE_S = process.env.LONG === '1' ? 60 : 8;
const FLOOD_S = OUTAGE_S + 6;
const PORT = 7000;

let lab: Lab;
let pod: Pod;
let sink: Background;
let gateway: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  const container = (name: string) => ({ name, image: 'localhost/web:1', command: ['/bin/sleep', '1000000'] });
  pod = await lab.startPod({ namespace: 'shop', name: 'app', containers: [container('good'), container('bad')] });
  // On the node itself, outside of what the agent watches: what is recorded is what the two containers began.
  gateway = pod.v4.replace(/\d+$/, '1');
  sink = new Background(
    'nsenter',
    lab.namespace.enter(['build/workloads/sink', String(PORT)]),
    `${lab.folder}/sink.log`,
  );
  lab.cleanup.add('the sink', () => sink.stop());
});

afterAll(() => lab.cleanup.run());

interface Status {
  flows: { stored: number };
  lost: Record<string, number>;
}

const lostOf = (status: Status) => Object.values(status.lost).reduce((sum, count) => sum + count, 0);
let before: Status;

beforeEach(async () => {
  before = await lab.server.get<Status>('/v1/status');
});

afterEach(() => lab.agent.stop());

async function flood(during: () => Promise<void>): Promise<{ good: Tally; bad: Tally }> {
  const args = ['flood', gateway, String(PORT), String(FLOOD_S)];
  const both = Promise.all([connector(pod, 'good', args), connector(pod, 'bad', args)]);
  both.catch(() => {});
  await during();
  const [good, bad] = await both;
  return { good, bad };
}

async function expectAllAccountedFor(attempts: number): Promise<Status> {
  await lab.settled();
  const after = await lab.server.get<Status>('/v1/status');
  const stored = after.flows.stored - before.flows.stored;
  const lost = lostOf(after) - lostOf(before);
  expect({ attempts, accounted: stored + lost }).toEqual({ attempts, accounted: attempts });
  return after;
}

function expectEnforced({ good, bad }: { good: Tally; bad: Tally }): void {
  expect(bad).toEqual({ done: 0, refused: 0, denied: bad.denied, unanswered: 0, failed: 0 });
  expect(good).toEqual({ done: good.done, refused: 0, denied: 0, unanswered: 0, failed: 0 });
  expect(bad.denied).toBeGreaterThan(1000);
  expect(good.done).toBeGreaterThan(1000);
}

test('an agent that is killed leaves enforcement in force, and loses nothing uncounted', async () => {
  await lab.startAgent();
  expect(lab.server.cli('deny', '--container', 'shop/app/bad', '--to', `${gateway}:${PORT}`).code).toBe(0);
  await lab.policyApplied();
  const tallies = await flood(async () => {
    await sleep(2000);
    await lab.agent.stop('SIGKILL');
    await sleep(2000);
    await lab.startAgent();
  });
  expectEnforced(tallies);
  const attempts = tallies.good.done + tallies.bad.denied;
  await expectAllAccountedFor(attempts);
  const flows = await lab.server.get<{ nodes: { epoch: string; generation: { applied: number } }[] }>('/v1/nodes');
  expect(flows.nodes[0]?.generation.applied).toBe(1);
});

test('while the server is away an agent without a spool enforces, keeps what fits, and counts what does not', async () => {
  await lab.startAgent(['--spool-bytes', '0', '--queue-bytes', String(256 << 10)]);
  const tallies = await flood(async () => {
    await sleep(1000);
    await lab.server.process.stop();
    await sleep(OUTAGE_S * 1000);
    await lab.startServer();
  });
  expectEnforced(tallies);
  const after = await expectAllAccountedFor(tallies.good.done + tallies.bad.denied);
  expect(after.lost.queueFull ?? 0).toBeGreaterThan(before.lost.queueFull ?? 0);
});

test('a server that is killed has all that it acknowledged, once', async () => {
  await lab.startAgent();
  const tallies = await flood(async () => {
    await sleep(2000);
    await lab.server.process.stop('SIGKILL');
    await sleep(500);
    await lab.startServer();
  });
  expectEnforced(tallies);
  await expectAllAccountedFor(tallies.good.done + tallies.bad.denied);
});
