// SPDX-License-Identifier: Apache-2.0
//
// Containers which live for 50 ms and are gone from the runtime before anybody could ask twice.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab } from '../harness/lab.js';
import type { Pod } from '../harness/pods.js';

const TOTAL = process.env.LONG === '1' ? 200 : 80;
const AT_ONCE = 4;

let lab: Lab;
let burst: Pod;
let target: Pod;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  target = await lab.startPod({
    namespace: 'shop',
    name: 'target',
    containers: [{ name: 'sink', image: 'localhost/web:1', command: ['/usr/local/bin/sink', '7000'] }],
  });
  burst = await lab.startPod({ namespace: 'shop', name: 'burst', labels: { app: 'jobs' }, containers: [] });
});

afterAll(() => lab.cleanup.run());

/** One connection in a life of 50 ms. */
const command = (address: string) => ['/usr/local/bin/connector', 'paced', address, '7000', '0.05', '20'];

test(`each of ${TOTAL} containers that live for 50 ms has its one connection, by name`, async () => {
  const names = Array.from({ length: TOTAL }, (_, i) => `job-${i}`);
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift())
      await burst.runToEnd({ name, image: 'localhost/web:1', command: command(target.v4) });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await lab.settled();

  const flows = await lab.server.allFlows('direction=egress');
  expect(flows.map((flow) => flow.container.name).sort()).toEqual(names.map((name) => `shop/burst/${name}`).sort());
  expect(flows.filter((flow) => flow.endReason !== 'closed')).toEqual([]);
});

test('containers that came and went while the agent could not look are named, as long as the runtime lists them', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `unseen-${i}`);
  process.kill(lab.agent.pid, 'SIGSTOP');
  try {
    for (const name of names)
      await burst.runToEnd({ name, image: 'localhost/web:1', command: command(target.v4) }, 'keep');
  } finally {
    process.kill(lab.agent.pid, 'SIGCONT');
  }
  await lab.settled();
  const flows = (await lab.server.allFlows('direction=egress')).filter(
    (flow) => !flow.container.name.includes('/job-'),
  );
  expect(flows.map((flow) => flow.container.name).sort()).toEqual(names.map((name) => `shop/burst/${name}`).sort());
});

test('none of them is listed as alive', async () => {
  const { containers } = await lab.server.get<{ containers: { pod: string; container: string }[] }>('/v1/containers');
  expect(containers.filter((it) => it.pod === 'burst' && /^(job|unseen)-/.test(it.container))).toEqual([]);
  expect(containers.filter((it) => it.container === 'sink').length).toBe(1);
});
