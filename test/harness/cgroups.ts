// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './run.js';

/** Mounts of cgroup file systems; v1 ones too, since a runtime on a hybrid machine makes its cgroups there as well. */
function mounts(types: readonly string[]): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => types.includes(type ?? ''))
    .map(([, directory]) => directory ?? '');
}

/** Of every hierarchy. */
export const cgroupMounts = (): string[] => mounts(['cgroup2', 'cgroup']);

export function cgroup2Mount(): string {
  const found = mounts(['cgroup2'])[0];
  if (!found) throw new Error('no cgroup v2 mount: Cellwall needs one');
  return found;
}

function children(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(directory, entry.name));
}

function processesIn(directory: string): number[] {
  const own = readFileSync(join(directory, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  return [...own, ...children(directory).flatMap(processesIn)];
}

function removeTree(directory: string): void {
  for (const child of children(directory)) removeTree(child);
  rmdirSync(directory);
}

/** A part of the cgroup tree that is ours alone: all processes in it were started by us. */
export class CgroupTree {
  readonly name: string;
  readonly path: string;

  constructor(name: string) {
    this.name = name;
    this.path = join(cgroup2Mount(), name);
    mkdirSync(this.path);
  }

  make(below: string): string {
    const path = join(this.path, below);
    mkdirSync(path, { recursive: true });
    return path;
  }

  remove(): Promise<void> {
    return removeCgroups(this.name);
  }
}

/** Ends what still runs in the tree of that name, and removes it from every hierarchy. */
export async function removeCgroups(name: string): Promise<void> {
  for (const mount of cgroupMounts()) {
    const path = join(mount, name);
    if (!existsSync(path)) continue;
    await until(`processes in ${path} end`, () => {
      const left = processesIn(path);
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // ended by itself
        }
      }
      return left.length === 0;
    });
    await until(`removal of ${path}`, () => {
      removeTree(path);
      return true;
    });
  }
}

/** What earlier runs left when they were killed: trees of this prefix whose owner, the pid in their name, is gone. */
export async function removeLeftovers(prefix: string): Promise<void> {
  const names = new Set(
    cgroupMounts().flatMap((mount) => readdirSync(mount).filter((name) => name.startsWith(prefix))),
  );
  for (const name of names) {
    const owner = Number(name.slice(prefix.length));
    if (Number.isInteger(owner) && !existsSync(`/proc/${owner}`)) await removeCgroups(name);
  }
}

export function joinCgroup(directory: string, pid: number): void {
  writeFileSync(join(directory, 'cgroup.procs'), String(pid));
}
