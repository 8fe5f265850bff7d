// SPDX-License-Identifier: Apache-2.0
//
// `make tutorial`: what docs/TUTORIAL.md tells, on real containers. Prints each command and what it says.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLI } from '../harness/cellwall.js';
import { Lab } from '../harness/lab.js';
import { until } from '../harness/run.js';
import { Tiers } from './tiers.js';

const show = (text: string) => process.stdout.write(`${text.trimEnd()}\n`);
const say = (text: string) => process.stdout.write(`\n## ${text}\n\n`);

function expect(what: string, held: boolean): void {
  if (!held) throw new Error(`the tutorial did not show what it should: ${what}`);
}

/** Prints a command as a person types it, and what it says. */
function cellwall(lab: Lab, line: string, { exit = 0, file = '' } = {}): string {
  show(`$ cellwall ${line}`);
  const words = line
    .replace(/ > .*$/, '')
    .replaceAll('shop.yaml', join(lab.folder, 'shop.yaml'))
    .split(' ');
  const { stdout, stderr, code } = lab.server.cli(...words);
  if (file) writeFileSync(join(lab.folder, file), stdout);
  else show(stdout);
  if (stderr) show(stderr);
  if (code !== 0) show(`(exit code ${code})`);
  expect(`exit code ${exit} of ${line}`, code === exit);
  return stdout;
}

async function learned(lab: Lab, tiers: Tiers): Promise<void> {
  say('What runs, and who talks to whom');
  await tiers.visits(20);
  await lab.settled();
  cellwall(lab, 'containers --namespace shop');
  cellwall(lab, 'map --namespace shop --since 1h');
  say('Policies that accept it');
  const yaml = cellwall(lab, 'policy learn --namespace shop --since 1h > shop.yaml', { file: 'shop.yaml' });
  show(`$ cat shop.yaml\n${yaml}`);
  cellwall(lab, 'policy simulate -f shop.yaml --since 1h');
  say('In mode Audit first');
  cellwall(lab, 'policy apply -f shop.yaml');
  await lab.policyApplied();
}

async function enforced(lab: Lab, tiers: Tiers): Promise<void> {
  await tiers.visits(5);
  await tiers.steal();
  await lab.settled();
  cellwall(lab, 'flows --verdict audit --since 1h');
  say('Enforced, one by one');
  for (const name of ['web-nginx', 'api-server']) cellwall(lab, `policy promote shop/${name}`);
  cellwall(lab, 'policy promote shop/db-postgres', { exit: 1 });
  cellwall(lab, 'policy promote shop/db-postgres --despite-findings');
  await lab.policyApplied();
  show('$ curl http://web/');
  show(await tiers.visit());
  const stolen = await tiers.steal();
  show('logs$ psql -h db.shop.test');
  show(stolen.stderr);
  expect('the sidecar is refused', stolen.stderr.includes('Operation not permitted'));
  await tiers.visits(5);
  await lab.settled();
  cellwall(lab, 'flows --verdict denied --since 1h');
}

/** With the seconds from its start to the line that tells of it. */
async function released(lab: Lab, tiers: Tiers): Promise<void> {
  say('A new release');
  show('$ cellwall policy drift --namespace shop --since 1h --watch');
  const { http, token } = lab.server;
  const env = { ...process.env, CELLWALL_SERVER: http, CELLWALL_TOKEN: token };
  const child = spawn('node', [CLI, 'policy', 'drift', '--namespace', 'shop', '--since', '1h', '--watch'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  lab.cleanup.add('the watch', () => {
    child.kill();
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await sleep(3000);
  const began = Date.now();
  await tiers.release();
  await tiers.visits(3);
  await until('the watch tells', () => lines.some((it) => it.includes('tcp')), 90_000, 100);
  const seconds = (Date.now() - began) / 1000;
  show(lines.join('\n'));
  show(`(told ${seconds.toFixed(0)} s after the roll-out began)`);
  child.kill();
  await lab.settled();
  cellwall(lab, 'policy drift --namespace shop --since 1h', { exit: 1 });
  const drift = 'policy drift --namespace shop --since 1h --fail-on never -o yaml > shop.yaml';
  const patch = cellwall(lab, drift, { file: 'shop.yaml' });
  show(`$ cat shop.yaml\n${patch}`);
  expect('a patch', patch.includes('shop/api-server: 1 rule added'));
  cellwall(lab, 'policy simulate -f shop.yaml --since 1h');
  cellwall(lab, 'policy apply -f shop.yaml');
  await lab.policyApplied();
  show('$ curl http://web/');
  show(await tiers.visit());
  await lab.settled();
  cellwall(lab, 'policy drift --namespace shop --since 1h');
}

const lab = await Lab.create();
try {
  await lab.startContainerd();
  await lab.startServer();
  await lab.startAgent();
  const tiers = await Tiers.begin(lab);
  await learned(lab, tiers);
  await enforced(lab, tiers);
  await released(lab, tiers);
} catch (error) {
  process.stderr.write(`\nthe tutorial failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await lab.cleanup.run();
}
