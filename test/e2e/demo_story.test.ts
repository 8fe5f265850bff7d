// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SERVICE, SERVICE_TEXT, Story } from '../demo/story.js';
import { Lab } from '../harness/lab.js';

const BEFORE = { nginx: 7, malware: 5 };
const AFTER = { nginx: 3, malware: 4 };

let lab: Lab;
let story: Story;

beforeAll(async () => {
  lab = await Lab.create();
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  story = await Story.begin(lab);
});

afterAll(() => lab.cleanup.run());

const flowsOf = (container: string, more = '') =>
  lab.server.allFlows(`container=shop/web/${container}&direction=egress&peer=${SERVICE_TEXT}${more}`);

test('two containers of one pod are told apart, by the address they asked for', async () => {
  expect(story.visit()).toBe('shop\n');
  const results = [
    ...(await story.queries('nginx', BEFORE.nginx)),
    ...(await story.queries('malware', BEFORE.malware)),
  ];
  // The database sees the node, whoever asked: its own log could not tell.
  expect(new Set(results.map((it) => it.stdout)).size).toBe(1);
  await lab.settled();
  for (const container of ['nginx', 'malware'] as const) {
    const flows = await flowsOf(container);
    expect(flows.length).toBe(BEFORE[container]);
    for (const flow of flows) {
      expect(flow.destination).toEqual(SERVICE);
      expect(flow).toMatchObject({
        verdict: 'allowed',
        endReason: 'closed',
        protocol: 'tcp',
        local: { address: story.web.v4 },
      });
      expect(flow.sentBytes).toBeGreaterThan(50);
      expect(flow.receivedBytes).toBeGreaterThan(100);
      expect(flow.process?.name).toBe('psql');
    }
  }
});

test('a deny rule cuts one container off and names itself, the other goes on', async () => {
  const { code, stdout } = lab.server.cli('deny', '--container', 'shop/web/malware', '--to', SERVICE_TEXT);
  expect(code).toBe(0);
  const policy = /take it back: cellwall policy delete (\S+)/.exec(stdout)?.[1] ?? '';
  await lab.policyApplied();
  for (const refused of await story.queries('malware', AFTER.malware)) {
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('Operation not permitted');
  }
  for (const served of await story.queries('nginx', AFTER.nginx)) expect(served.stdout).toMatch(/^order 42/);
  await lab.settled();
  const denied = await flowsOf('malware', '&verdict=denied');
  expect(denied.length).toBe(AFTER.malware);
  for (const flow of denied) expect(flow.rule).toMatchObject({ policy, name: 'deny-10-96-0-10-5432', generation: 1 });
  expect((await flowsOf('nginx')).length).toBe(BEFORE.nginx + AFTER.nginx);
  expect((await lab.server.allFlows('verdict=denied')).length).toBe(AFTER.malware);

  expect(lab.server.cli('policy', 'delete', policy).code).toBe(0);
  await lab.policyApplied();
  expect((await story.query('malware')).stdout).toMatch(/^order 42/);
});

test('the command line shows it as a person reads it', async () => {
  const table = lab.server.cli('flows', '--verdict', 'denied').stdout.split('\n');
  expect(table[0]).toMatch(/^TIME +CONTAINER +DESTINATION +VERDICT +SENT +RECEIVED +TOOK +END$/);
  expect(table[1]).toMatch(
    /shop\/web\/malware +-> tcp 10\.96\.0\.10:5432 +denied shop\/deny-malware-\w+:deny-10-96-0-10-5432@1/,
  );
  const containers = lab.server.cli('containers', '--namespace', 'shop', '-o', 'json');
  const names = (JSON.parse(containers.stdout) as { containers: { name: string }[] }).containers.map((it) => it.name);
  expect(names).toEqual([
    'shop/db/(pod sandbox)',
    'shop/db/postgres',
    'shop/web/(pod sandbox)',
    'shop/web/malware',
    'shop/web/nginx',
  ]);
  expect(lab.server.cli('nodes').stdout).toMatch(/node-1 +connected/);
  expect(lab.server.cli('status').stdout).toContain('0 lost');
});

test('a container that starts later is under policy before its first connection', async () => {
  const document = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: late, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: late}}}
  egress: [{name: nothing-out, action: Deny, to: [{networks: ["${SERVICE.address}"]}]}]
`;
  const response = await lab.server.fetch('/v1/policies', { method: 'PUT', body: document });
  expect(response.status).toBe(200);
  await lab.policyApplied();
  const pods = 5;
  for (let i = 0; i < pods; i++) {
    const pod = await lab.startPod({
      namespace: 'shop',
      name: `late-${i}`,
      labels: { app: 'late' },
      // Its very first instruction is a connection.
      containers: [
        {
          name: 'eager',
          image: 'localhost/web:1',
          command: ['/usr/local/bin/connector', 'tcp', SERVICE.address, String(SERVICE.port), '20'],
        },
      ],
    });
    await lab.settled();
    const flows = await lab.server.allFlows(`container=shop/late-${i}/eager`);
    expect(flows.map((flow) => flow.verdict)).toEqual(Array(20).fill('denied'));
    await pod.remove();
  }
});
