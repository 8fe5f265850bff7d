// SPDX-License-Identifier: Apache-2.0
//
// `make demo`: what Cellwall is for, on real containers. KEEP=1 leaves everything running.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab } from '../harness/lab.js';
import { ROOT } from '../harness/root.js';
import { SERVICE_TEXT, Story } from './story.js';

const bold = (text: string) => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
let step = 0;
const say = (text: string) => process.stdout.write(`\n${bold(`${++step}. ${text}`)}\n`);
const indent = (text: string) => text.trimEnd().replace(/^/gm, '   ');
const show = (text: string) => process.stdout.write(`${indent(text)}\n`);

function cellwall(lab: Lab, ...args: string[]): string {
  show(`$ cellwall ${args.join(' ')}`);
  const { stdout, stderr, code } = lab.server.cli(...args);
  if (code !== 0) throw new Error(`cellwall ${args[0]} failed (${code}): ${stderr}`);
  show(stdout);
  return stdout;
}

function expect(what: string, held: boolean): void {
  if (!held) throw new Error(`the demo did not show what it should: ${what}`);
}

async function tell(lab: Lab): Promise<void> {
  say('Starting a container runtime (containerd), with a network namespace and cgroups of its own …');
  await lab.startContainerd();
  say('Starting the control plane and the node agent …');
  await lab.startServer();
  await lab.startAgent();
  say(
    'Starting pod shop/db (PostgreSQL) behind a service address, and pod shop/web with two containers: nginx and malware …',
  );
  const story = await Story.begin(lab);
  show(`web is ${story.web.v4}, db is ${story.db.v4}, the service address of db is ${SERVICE_TEXT}`);
  show(`curl http://${story.web.v4}/ -> ${story.visit().trim()}`);

  say('Both containers of web query the database through the service address. To the database they look the same:');
  for (const container of ['nginx', 'malware'] as const)
    show(`${container}: ${(await story.query(container)).stdout.trim()}`);
  await lab.settled();
  cellwall(lab, 'containers', '--namespace', 'shop');
  say('Cellwall tells them apart, and knows the address they asked for, before NAT:');
  const flows = cellwall(lab, 'flows', '--namespace', 'shop', '--pod', 'web', '--peer', SERVICE_TEXT);
  expect('flows of both containers', flows.includes('shop/web/nginx') && flows.includes('shop/web/malware'));

  say('One line cuts malware off, and nothing else:');
  cellwall(lab, 'deny', '--container', 'shop/web/malware', '--to', SERVICE_TEXT);
  await lab.policyApplied();
  const refused = await story.query('malware');
  const served = await story.query('nginx');
  show(`malware: ${refused.stderr.trim()}`);
  show(`nginx: ${served.stdout.trim()}`);
  expect('malware refused', refused.code !== 0 && refused.stderr.includes('Operation not permitted'));
  expect('nginx served', served.stdout.startsWith('order 42'));
  await lab.settled();
  say('Who was refused, and by which rule:');
  const denied = cellwall(lab, 'flows', '--verdict', 'denied');
  expect('the refusal is recorded', denied.includes('shop/web/malware') && denied.includes('deny-10-96-0-10-5432'));
  cellwall(lab, 'status');
}

async function keep(lab: Lab): Promise<void> {
  const { http, token } = lab.server;
  writeFileSync(join(ROOT, 'build/demo.pid'), `${process.pid}\n`);
  lab.cleanup.add('the pid file', () => writeFileSync(join(ROOT, 'build/demo.pid'), ''));
  process.stdout.write(`
Everything is still running. In another terminal, in this folder:
   export CELLWALL_SERVER=${http} CELLWALL_TOKEN=${token}
   npx cellwall flows --follow
   npx cellwall policy get
   npx cellwall policy delete KEY
Stop it with Ctrl-C here, or with: make demo-stop
`);
  setInterval(() => {}, 1 << 30);
  await once(process, 'exit');
}

const started = Date.now();
const lab = await Lab.create();
try {
  await tell(lab);
  process.stdout.write(`\nThat took ${Math.round((Date.now() - started) / 1000)} s.\n`);
  if (process.env.KEEP === '1') await keep(lab);
} catch (error) {
  process.stderr.write(`\ndemo failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  process.stdout.write('Cleaning up …\n');
  await lab.cleanup.run();
}
