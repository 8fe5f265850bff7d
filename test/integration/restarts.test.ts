// SPDX-License-Identifier: Apache-2.0
//
// Agents that are killed and replaced, and policies that change, while containers connect as fast as they can.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connector, type Tally } from '../harness/connector.js';
import { Lab } from '../harness/lab.js';
import type { Pod } from '../harness/pods.js';
import { Background } from '../harness/run.js';

const LONG = process.env.LONG === '1';
const KILLS = LONG ? 100 : 5;
const UPGRADES = LONG ? 20 : 2;
const SWAPS = LONG ? 1000 : 60;
const PORT = 7000;

let lab: Lab;
let pod: Pod;
let gateway: string;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  const container = (name: string) => ({ name, image: 'localhost/web:1', command: ['/bin/sleep', '1000000'] });
  pod = await lab.startPod({ namespace: 'shop', name: 'app', containers: [container('good'), container('bad')] });
  gateway = pod.v4.replace(/\d+$/, '1');
  const sink = new Background(
    'nsenter',
    lab.namespace.enter(['build/workloads/sink', String(PORT)]),
    `${lab.folder}/sink.log`,
  );
  lab.cleanup.add('the sink', () => sink.stop());
});

afterAll(() => lab.cleanup.run());

/** Both containers connect until the work is done. */
async function flooded(work: () => Promise<void>): Promise<{ good: Tally; bad: Tally }> {
  const total: { good?: Tally; bad?: Tally } = {};
  let done = false;
  const flood = async (name: 'good' | 'bad') => {
    while (!done) {
      const tally = await connector(pod, name, ['paced', gateway, String(PORT), '2', '1000']);
      const before = total[name] ?? { done: 0, refused: 0, denied: 0, unanswered: 0, failed: 0 };
      for (const outcome of Object.keys(before) as (keyof Tally)[]) before[outcome] += tally[outcome];
      total[name] = before;
    }
  };
  const floods = Promise.all([flood('good'), flood('bad')]);
  floods.catch(() => {});
  try {
    await work();
  } finally {
    done = true;
  }
  await floods;
  return total as { good: Tally; bad: Tally };
}

function expectRight({ good, bad }: { good: Tally; bad: Tally }): void {
  expect(bad).toEqual({ done: 0, refused: 0, denied: bad.denied, unanswered: 0, failed: 0 });
  expect(good).toEqual({ done: good.done, refused: 0, denied: 0, unanswered: 0, failed: 0 });
  expect(bad.denied).toBeGreaterThan(1000);
  expect(good.done).toBeGreaterThan(1000);
}

const policy = (extra: string) => `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: bad, namespace: shop}
spec:
  subject: {containers: [bad]}
  egress:
  - {name: no-gateway, action: Deny, to: [{networks: ["${gateway}"]}]}
${extra}`;

test(`${KILLS} kills and ${UPGRADES} upgrades of the agent leak nothing and break nothing`, async () => {
  await lab.applyPolicy(policy(''));
  const tallies = await flooded(async () => {
    for (let kill = 0; kill < KILLS; kill++) {
      await lab.agent.stop('SIGKILL');
      await lab.startAgent();
      await sleep(50);
    }
    for (let upgrade = 0; upgrade < UPGRADES; upgrade++) {
      await lab.agent.stop();
      await lab.startAgent();
    }
  });
  expectRight(tallies);
  await lab.policyApplied();
});

test(`${SWAPS} policies one after the other never let a wrong connect through`, async () => {
  await lab.applyPolicy(policy(''));
  const tallies = await flooded(async () => {
    for (let swap = 0; swap < SWAPS; swap++) {
      const other = `  - {name: other-${swap}, action: Deny, to: [{networks: ["198.51.100.${swap % 250}"]}]}\n`;
      await lab.server.put('/v1/policies', policy(swap % 2 ? other : ''));
    }
    await lab.policyApplied();
  });
  expectRight(tallies);
});
