// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync } from 'node:fs';
import { run, tryRun } from './run.js';

const NETNS = '/run/netns';

/** A network namespace of our own, with loopback up: the "node" in which pods get their addresses. */
export class NetworkNamespace {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
    run('ip', ['netns', 'add', name]);
    this.run('ip', ['link', 'set', 'lo', 'up']);
  }

  get path(): string {
    return `${NETNS}/${this.name}`;
  }

  /** Arguments that run a command inside, with this machine's mounts (`ip netns exec` would hide the cgroup ones). */
  enter(command: readonly string[]): string[] {
    return [`--net=${this.path}`, '--', ...command];
  }

  run(command: string, args: readonly string[]): string {
    return run('nsenter', this.enter([command, ...args]));
  }

  /** What it says, also when it fails. */
  attempt(command: readonly string[]): string {
    const { stdout, stderr } = tryRun('nsenter', this.enter(command));
    return stdout + stderr;
  }

  remove(): void {
    removeNamespace(this.name);
  }
}

function removeNamespace(name: string): void {
  if (existsSync(`${NETNS}/${name}`)) tryRun('ip', ['netns', 'delete', name]);
}

export function removeLeftoverNamespaces(prefix: string): void {
  if (!existsSync(NETNS)) return;
  for (const name of readdirSync(NETNS)) {
    const owner = Number(name.slice(prefix.length));
    if (name.startsWith(prefix) && Number.isInteger(owner) && !existsSync(`/proc/${owner}`)) removeNamespace(name);
  }
}

/** A service address: what is sent there goes to the backend, and the backend sees the node's address. */
export function addService(
  namespace: NetworkNamespace,
  address: string,
  port: number,
  backend: string,
  backendPort: number,
): void {
  const rules = `
table ip services {
  chain prerouting { type nat hook prerouting priority dstnat; ip daddr ${address} tcp dport ${port} dnat to ${backend}:${backendPort}; }
  chain postrouting { type nat hook postrouting priority srcnat; ct status dnat masquerade; }
}`;
  run('nsenter', namespace.enter(['nft', '-f', '-']), { input: rules });
}
