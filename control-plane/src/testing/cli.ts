// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { TOKEN } from './certificates.js';
import { temporaryFolder } from './folder.js';

/** The compiled command line. */
export const CLI = resolve('dist/control-plane/src/cli/main.js');

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function run(file: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((done) => {
    execFile(file, args, { env: { ...process.env, ...env }, maxBuffer: 64 << 20 }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code ?? 255) : 0, stdout, stderr }),
    );
  });
}

/** `cellwall ARGS` against a server, as the admin of testServer(), and without what the developer has logged in to. */
export const cellwall = (server: string, ...args: string[]): Promise<Ran> =>
  run(process.execPath, [CLI, ...args], {
    CELLWALL_SERVER: server,
    CELLWALL_TOKEN: TOKEN,
    XDG_CONFIG_HOME: temporaryFolder(),
  });
