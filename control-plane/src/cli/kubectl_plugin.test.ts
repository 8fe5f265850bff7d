// SPDX-License-Identifier: Apache-2.0
//
// deploy/kubectl-cellwall beside stand-ins for kubectl and for the command line, which write down what they are asked. No cluster runs.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../testing/folder.js';

const PLUGIN = join(import.meta.dirname, '../../../deploy/kubectl-cellwall');
const KUBECTL = `#!/bin/sh
echo "$*" >>"$ASKED"
case "$*" in
  *"get services"*) printf %s "$FOUND" ;;
  *"get configmap"*) printf 'CERTIFICATE' ;;
  *"create token"*) printf 'made' ;;
  *port-forward*) [ -z "$BROKEN" ] || { echo 'pod not found'; exit 1; }; echo 'Forwarding from 127.0.0.1:17481 -> 7481'; echo $$ >"$ASKED.pid"; exec sleep 60 ;;
esac
`;
const CELLWALL =
  '#!/bin/sh\necho "$CELLWALL_SERVER $CELLWALL_TOKEN $(cat "$CELLWALL_CA")"; for it in "$@"; do echo "<$it>"; done; exit 4\n';

function run(env: Record<string, string>, ...args: string[]) {
  const folder = temporaryFolder();
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    chmodSync(join(folder, name), 0o755);
    return join(folder, name);
  };
  const asked = join(folder, 'asked');
  const given = { KUBECTL: program('kubectl', KUBECTL), CELLWALL_COMMAND: program('cellwall', CELLWALL), ASKED: asked };
  const found = spawnSync(PLUGIN, args, {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env.PATH ?? '', FOUND: 'cw', ...given, ...env },
  });
  const pid = existsSync(`${asked}.pid`) ? Number(readFileSync(`${asked}.pid`, 'utf8')) : 0;
  return { ...found, asked: readFileSync(asked, 'utf8'), pid };
}

it('finds the server, forwards a port while the command runs, and passes on words and exit code', () => {
  const { stdout, status, asked, pid } = run({ CELLWALL_SERVICE_ACCOUNT: 'ops/me' }, 'flows', '--name', 'a b');
  expect(stdout).toBe('https://127.0.0.1:17481 made CERTIFICATE\n<flows>\n<--name>\n<a b>\n');
  expect(status).toBe(4);
  expect(asked).toContain('-n ops create token me --audience cellwall');
  expect(asked).toContain('-n cw port-forward --address 127.0.0.1 service/cellwall-server 17481:7481');
  expect(pid).toBeGreaterThan(0);
  expect(() => process.kill(pid, 0)).toThrowError(/ESRCH/);
});

it('says what is wrong where there is no server, or no way to it', () => {
  expect(run({ FOUND: '' })).toMatchObject({ status: 3, stderr: expect.stringContaining('CELLWALL_NAMESPACE') });
  expect(run({ BROKEN: '1' })).toMatchObject({ status: 3, stderr: expect.stringContaining('pod not found') });
});
