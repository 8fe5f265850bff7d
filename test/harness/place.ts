// SPDX-License-Identifier: Apache-2.0
//
// Where an agent of a test works: a folder, a part of the cgroup tree, and pins of its own.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT } from './cellwall.js';
import { CgroupTree, removeLeftovers } from './cgroups.js';
import type { Cleanup } from './cleanup.js';
import { removeLeftoverNamespaces } from './network.js';
import { run, tryRun } from './run.js';

/** Names go on with the pid of their owner, so that what a killed run left can be told from what another run uses. */
export const PREFIX = 'cellwall-lab-';

export interface Place {
  readonly name: string;
  readonly folder: string;
  readonly cgroups: CgroupTree;
  /** The agent's pin directory, on a bpffs below the folder. */
  readonly pins: string;
}

/** Mounts a bpffs below the folder; programs that an agent leaves there are removed before it is unmounted. */
export function mountPins(folder: string, cleanup: Cleanup): string {
  const bpffs = join(folder, 'bpffs');
  mkdirSync(bpffs);
  run('mount', ['-t', 'bpf', 'bpf', bpffs]);
  const pins = join(bpffs, 'cellwall');
  cleanup.add('programs in the kernel', () => {
    tryRun(AGENT, ['uninstall', '--pin-directory', pins]);
    tryRun('umount', ['-l', bpffs]);
  });
  return pins;
}

export function makePlace(cleanup: Cleanup): Place {
  const name = `${PREFIX}${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  cleanup.add('the folder', () => rmSync(folder, { recursive: true, force: true }));
  const cgroups = new CgroupTree(name);
  cleanup.add('cgroups', () => cgroups.remove());
  return { name, folder, cgroups, pins: mountPins(folder, cleanup) };
}

/** Before a place is made: what runs that were killed have left is removed. */
export async function clearPlaces(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('containers and kernel programs need root: run it with sudo');
  removeLeftoverNamespaces(PREFIX);
  await removeLeftovers(PREFIX);
  removeLeftoverFolders();
}

function removeLeftoverFolders(): void {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name);
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    const own = mounts.filter((path) => path.startsWith(`${folder}/`));
    if (existsSync(`/proc/${Number.parseInt(name.slice(PREFIX.length), 10)}`)) continue;
    for (const mount of own.reverse()) tryRun('umount', ['-l', mount]);
    rmSync(folder, { recursive: true, force: true });
  }
}
