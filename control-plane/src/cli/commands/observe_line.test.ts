// SPDX-License-Identifier: Apache-2.0
//
// The line as it is typed, with the compiled command line and a server.
import { expect, it, vi } from 'vitest';
import { cellwall } from '../../testing/cli.js';
import { testServer } from '../../testing/server.js';

// Each line starts node anew, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000 });

async function shop() {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  const upserted = ['nginx', 'malware'].map((name, i) => ({ cgroupId: 7 + i, namespace: 'shop', pod: 'web', name }));
  agent.send({ containers: { complete: true, upserted } });
  agent.send({ heartbeat: { number: 1 } });
  await agent.next('heartbeat');
  const line = (text: string) => cellwall(server.httpAddress, ...text.split(' '));
  const observed = async () => {
    const { stdout } = await line('containers -o csv');
    const rows = stdout.trim().split('\r\n').slice(1);
    return Object.fromEntries(rows.map((row) => [row.split(',')[4], row.split(',').at(-1)]));
  };
  return { line, observed };
}

it('switches observation on, changes it, and off again', async () => {
  const { line, observed } = await shop();
  const on = await line('observe --namespace shop --names --payload');
  expect(on).toMatchObject({ code: 0, stderr: '' });
  expect(on.stdout).toMatch(/observation:shop\/observe-all-[0-9a-f]{6} created, generation 1/);
  expect(await observed()).toEqual({ nginx: 'names payload', malware: 'names payload' });
  expect((await line('containers')).stdout).toMatch(/OBSERVED.*\n.*names, payload/);

  expect((await line('observe --namespace shop --names')).stdout).toContain('updated, generation 2');
  expect(await observed()).toEqual({ nginx: 'names', malware: 'names' });

  expect((await line('observe --namespace shop --off --dry-run')).stdout).toContain('nothing was changed');
  expect((await line('observe --namespace shop --off')).stdout).toContain('deleted\ngeneration 3');
  expect(await observed()).toEqual({ nginx: '', malware: '' });
  expect((await line('containers')).stdout).toMatch(/OBSERVED.*\n.* {2}- /);
  expect((await line('observe --namespace shop --off')).code).toBe(4);
});

it('prints a key that policy get and policy delete take', async () => {
  const { line, observed } = await shop();
  const { stdout } = await line('observe --container shop/web/nginx --payload');
  const back = /take it back: cellwall (.*)\n/.exec(stdout)?.[1] ?? '';
  expect(await observed()).toEqual({ nginx: 'payload', malware: '' });
  expect((await line(back.replace('delete', 'get'))).stdout).toContain('kind: ContainerObservation');
  expect((await line('policy get')).stdout).toMatch(/observation:shop\/observe-nginx-\w+ +- +- +payload +cellwall +1 /);
  expect(JSON.parse((await line('policy get -o json')).stdout)).toMatchObject({
    policies: [{ kind: 'ContainerObservation', mode: null }],
  });
  expect((await line(back)).code).toBe(0);
  expect(await observed()).toEqual({ nginx: '', malware: '' });
});

it('changes nothing in a dry run, and warns of a namespace without containers', async () => {
  const { line, observed } = await shop();
  const dry = await line('observe --namespace shpo --names --dry-run');
  expect(dry.stdout).toContain('would be created; nothing was changed');
  expect(dry.stderr).toMatch(/^warning: observation:shpo\/.* selects no container that runs now\n$/);
  expect((await line('policy get')).stdout).toContain('no policies');
  expect(await observed()).toEqual({ nginx: '', malware: '' });
});
