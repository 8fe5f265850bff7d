// SPDX-License-Identifier: Apache-2.0
//
// The printed scripts in the shells themselves, with the compiled command line and a server.
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { TOKEN } from '../../testing/certificates.js';
import { CLI, cellwall, run } from '../../testing/cli.js';
import { temporaryFolder } from '../../testing/folder.js';
import { type TestServer, testServer } from '../../testing/server.js';
import { SCRIPTS } from '../completion/scripts.js';

// Each word that is completed starts node anew, on a machine that may be busy.
vi.setConfig({ testTimeout: 120_000 });
/** Far above the 500 ms for the server, far below what a request may take without them. */
const NOT_HANGING_MS = 20_000;
const NOWHERE = 'http://127.0.0.1:1';
/** Asks the function that bash would call, for words as readline splits them. */
const ASK = `
source "$1"; shift
[[ $(complete -p cellwall) == 'complete -F _cellwall cellwall' ]] || exit 9
COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_cellwall
((\${#COMPREPLY[@]})) && printf '%s\\n' "\${COMPREPLY[@]}"
exit 0`;

function readlineWords(line: string): string[] {
  const words = line.match(/[:=]+|[^\s:=]+/g) ?? [];
  return line.endsWith(' ') ? [...words, ''] : words;
}

async function inBash(line: string, server: string): Promise<string[]> {
  const folder = temporaryFolder();
  const command = join(folder, 'cellwall');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`);
  chmodSync(command, 0o755);
  const script = join(folder, 'script');
  writeFileSync(script, SCRIPTS.bash);
  const env = { PATH: `${folder}:${process.env.PATH}`, CELLWALL_SERVER: server, CELLWALL_TOKEN: TOKEN };
  const done = await run('bash', ['--norc', '-c', ASK, 'bash', script, line, ...readlineWords(line)], env);
  expect({ code: done.code, stderr: done.stderr }).toEqual({ code: 0, stderr: '' });
  return done.stdout.split('\n').filter((it) => it !== '');
}

async function busyServer(): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('node-1');
  const names = ['nginx', 'malware', '$(reboot)'];
  const upserted = names.map((name, i) => ({ cgroupId: 7 + i, namespace: 'shop', pod: 'web', name }));
  agent.send({ containers: { complete: true, upserted } });
  agent.send({ heartbeat: { number: 1 } });
  await agent.next('heartbeat');
  const body = `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerObservation, metadata: {name: seen, namespace: shop}, spec: {names: true}}`;
  await server.ask('/v1/policies', { method: 'PUT', body });
  return server;
}

it.each([
  ['cellwall fl', ['flows']],
  ['cellwall policy get -o js', ['json', 'jsonl']],
  ['cellwall observe --na', ['--namespace', '--names', '--name']],
  ['cellwall policy apply -f /etc/host', []],
  ['cellwall flows --peer :443 --verd', ['--verdict']],
])('in bash, without a server, "%s" goes on with %j', async (line, wanted) => {
  expect(await inBash(line, NOWHERE)).toEqual(wanted);
});

// What comes back replaces what bash takes as the last word: it splits at ":" and "=" too.
it('in bash, values come from the server', async () => {
  const { httpAddress } = await busyServer();
  const lines: [string, string[]][] = [
    ['cellwall flows --container shop/web/', ['shop/web/malware', 'shop/web/nginx']],
    ['cellwall flows --container=shop/web/n', ['shop/web/nginx']],
    ['cellwall flows --container=', ['shop/web/malware', 'shop/web/nginx']],
    ['cellwall policy delete obs', ['observation:shop/seen']],
    ['cellwall policy delete observation:', ['shop/seen']],
    ['cellwall containers --node ', ['node-1']],
  ];
  for (const [line, wanted] of lines) expect([line, await inBash(line, httpAddress)]).toEqual([line, wanted]);
  expect(await inBash(`cellwall containers --server ${httpAddress} --pod `, NOWHERE)).toEqual(['web']);
});

it('is silent while the server is away, refuses, or does not answer', async () => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise((listening) => mute.once('listening', listening));
  onTestFinished(() => void mute.close());
  const { port } = mute.address() as { port: number };
  const refusing = join(temporaryFolder(), 'token');
  writeFileSync(refusing, 'another-token-of-some-length');
  const { httpAddress } = await testServer(undefined, { httpTokenFile: refusing });
  for (const server of [NOWHERE, httpAddress, `http://127.0.0.1:${port}`, 'no address']) {
    const asked = performance.now();
    const done = await cellwall(server, '__complete', '--', 'flows', '--container', '');
    expect(done).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(performance.now() - asked).toBeLessThan(NOT_HANGING_MS);
  }
});

it.for(['zsh', 'fish'] as const)('the script for %s is in its language', (shell, { skip }) => {
  const script = join(temporaryFolder(), 'script');
  writeFileSync(script, SCRIPTS[shell]);
  const checked = spawnSync(shell, ['-n', script], { encoding: 'utf8' });
  if ((checked.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    process.stderr.write(`skipped: ${shell} is not installed, so the syntax of its script is not checked\n`);
    skip(`${shell} is not installed`);
  }
  expect(`${checked.status} ${checked.stderr}`).toBe('0 ');
});

it('prints the script of a shell, names those that it knows, and stays out of the help itself', async () => {
  expect(await cellwall(NOWHERE, 'completion', 'bash')).toEqual({ code: 0, stdout: SCRIPTS.bash, stderr: '' });
  const wrong = await cellwall(NOWHERE, 'completion', 'tcsh');
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('bash, zsh, fish');
  const { stdout } = await cellwall(NOWHERE, '--help');
  expect(stdout).toContain('completion');
  expect(stdout).not.toContain('__complete');
});
