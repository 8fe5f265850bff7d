// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { batchOf, plainFlows } from '../testing/batches.js';
import { type TestServer, testServer } from '../testing/server.js';

const NOW = Date.now() * 1000;
const SPOOL_FULL = 5;

/** One node that lost 9 events, of a known time, and one that lost none. */
async function serverWithGap(): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('left');
  const hole = { holeReason: SPOOL_FULL, holeFirstUs: NOW - 60e6, holeLastUs: NOW - 50e6 };
  agent.send({
    statistics: {
      counters: { lag_us: 2_500_000, spool_bytes: 4096, spool_limit_bytes: 1 << 20, spool_unwritable: 1 },
    },
  });
  agent.sendBatch(batchOf(1, 10, plainFlows(1, 7, NOW), hole));
  await agent.acknowledged(1);
  const other = server.agent();
  await other.hello('right');
  other.sendBatch(batchOf(1, 1, plainFlows(1, 7, NOW)));
  await other.acknowledged(1);
  return server;
}

it('lists gaps with node, reason, count and time', async () => {
  const server = await serverWithGap();
  const { body } = await server.ask('/v1/losses');
  expect(body).toEqual({
    losses: [
      {
        node: 'left',
        epoch: 'boot.1',
        reason: 'spoolFull',
        count: 9,
        first: new Date((NOW - 60e6) / 1000).toISOString().replace('Z', '000Z'),
        last: new Date((NOW - 50e6) / 1000).toISOString().replace('Z', '000Z'),
        noticed: expect.any(String),
      },
    ],
    more: false,
  });
  expect((await server.ask('/v1/losses?node=right')).body).toEqual({ losses: [], more: false });
  expect((await server.ask('/v1/losses?since=1h')).body).toMatchObject({ losses: [{ count: 9 }] });
  expect((await server.ask('/v1/losses?since=2100-01-01T00:00:00Z')).body).toMatchObject({ losses: [] });
  expect((await server.ask('/v1/losses?since=soon')).status).toBe(400);
});

it('says when older gaps are left out', async () => {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('left');
  agent.sendBatch(batchOf(1, 10, plainFlows(1, 7, NOW), { holeReason: SPOOL_FULL }));
  agent.sendBatch(batchOf(2, 13, plainFlows(1, 7, NOW), { holeReason: SPOOL_FULL }));
  await agent.acknowledged(2);
  expect((await server.ask('/v1/losses?limit=1')).body).toMatchObject({ losses: [{}], more: true });
  expect((await server.ask('/v1/losses?limit=2')).body).toMatchObject({ losses: [{}, {}], more: false });
});

it('shows of each node how far behind it is', async () => {
  const server = await serverWithGap();
  expect((await server.ask('/v1/nodes')).body).toMatchObject({
    nodes: [
      {
        name: 'left',
        lost: { spoolFull: 9, queueFull: 0 },
        delivery: { lagUs: 2_500_000, spoolBytes: 4096, spoolLimitBytes: 1 << 20, spoolWritable: false },
      },
      { name: 'right', delivery: { lagUs: 0, spoolLimitBytes: 0 } },
    ],
  });
});

it('has both in the metrics', async () => {
  const server = await serverWithGap();
  const { body } = await server.ask('/metrics');
  for (const line of [
    'cellwall_flows_lost{reason="spoolFull"} 9',
    'cellwall_node_flows_lost{node="left",reason="spoolFull"} 9',
    'cellwall_node_flows_lost{node="right",reason="spoolFull"} 0',
    'cellwall_node_lag_seconds{node="left"} 2.5',
    'cellwall_node_spool_bytes{node="left"} 4096',
  ])
    expect(body).toContain(line);
});
