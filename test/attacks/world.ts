// SPDX-License-Identifier: Apache-2.0
//
// The pods that are attacked from, and what is around them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../harness/lab.js';
import { nameServer } from '../harness/name_server.js';
import type { ContainerSpec, ExecResult, Pod, PodSpec } from '../harness/pods.js';
import { run } from '../harness/run.js';
import { ALLOWED, ALLOWED_NAME, ALLOWED_NAME_OF_SHARED, LOCAL_PORT, SHARED } from './addresses.js';
import type { User } from './attacks.js';
import { Outside, Receiver } from './outside.js';
import { POLICIES } from './policies.js';
import { inContainer } from './programs.js';

const idle = (name: string, more: { capabilities?: string[]; devices?: string[] } = {}) => ({
  name,
  image: 'localhost/attacks:1',
  command: ['/bin/sh', '-c', 'chmod 1777 /tmp && exec /bin/sleep 1000000'],
  ...more,
});

const NETWORK_ADMIN = { capabilities: ['NET_ADMIN'], devices: ['/dev/net/tun'] };

/** What newer runtimes and administrators give to ordinary users: an attack should not fail for want of it. */
function makeGenerous(pod: Pod): void {
  for (const setting of [
    'net.ipv4.ping_group_range=0 2147483647',
    'net.ipv4.ip_unprivileged_port_start=0',
    'net.ipv6.conf.all.seg6_enabled=1',
  ]) {
    const [command = '', ...args] = pod.inNetwork(['sysctl', '-qw', setting]);
    run(command, args);
  }
  const [command = '', ...args] = pod.inNetwork([
    'ip',
    'mptcp',
    'limits',
    'set',
    'subflows',
    '4',
    'add_addr_accepted',
    '4',
  ]);
  run(command, args);
}

/** A race of a million TCP connections takes minutes. */
const PATIENCE_S = 600;

export interface World {
  readonly lab: Lab;
  readonly outside: Outside;
  /** Of the attacked containers, which have the pod's name. "jail", "crowded" and "named" have a neighbour without a policy. */
  readonly pods: Readonly<Record<'jail' | 'raw' | 'admin' | 'crowded' | 'host' | 'named' | 'names', Pod>>;
  /** On the loopback of the jail's pod. */
  readonly local: Receiver;
}

/** Everything but the policy. */
export async function makeWorld(lab: Lab): Promise<World> {
  await lab.startContainerd('attacks');
  const outside = new Outside(lab.namespace, lab.cleanup);
  const pod = (name: string, containers: ContainerSpec[], more: Partial<PodSpec> = {}) =>
    lab.startPod({ namespace: 'attacks', name, containers, ...more });
  const names = await pod('names', [
    nameServer({
      image: 'localhost/attacks:1',
      records: [
        [ALLOWED_NAME, ALLOWED],
        [ALLOWED_NAME_OF_SHARED, SHARED],
        ['evil.test', SHARED],
      ],
    }),
  ]);
  await lab.startServer(serverOptions(names));
  await lab.startAgent();
  const pods = {
    names,
    jail: await pod('jail', [idle('jail'), idle('neighbour')]),
    raw: await pod('raw', [idle('raw')]),
    admin: await pod('admin', [idle('admin', NETWORK_ADMIN)]),
    crowded: await pod('crowded', [idle('crowded', NETWORK_ADMIN), idle('neighbour')]),
    host: await pod('host', [idle('host')], { hostNetwork: true }),
    named: await pod('named', [idle('named'), idle('neighbour')], { nameServers: names.addresses }),
  };
  for (const it of [pods.jail, pods.raw, pods.admin, pods.crowded, pods.named]) makeGenerous(it);
  makeGenerous(pods.host);
  const local = new Receiver([`--net=/proc/${pods.jail.processOf('jail')}/ns/net`, '--'], ['lo', LOCAL_PORT]);
  lab.cleanup.add('the receiver in the pod', () => local.stop());
  return { lab, outside, pods, local };
}

/** The containers' name server, as the server is told of it. */
export function serverOptions(names: Pod): string[] {
  return ['--dns-servers', names.addresses.join(',')];
}

export async function applyPolicies({ lab }: World): Promise<void> {
  const file = join(lab.folder, 'policies.yaml');
  writeFileSync(file, POLICIES);
  const done = lab.server.cli('policy', 'apply', '-f', file);
  if (done.code !== 0) throw new Error(`the policies were not taken: ${done.stderr}`);
  await lab.policyApplied();
}

/** Runs one of the programs in a container. */
export function attackIn(pod: Pod, container: string, user: User, command: readonly string[]): Promise<ExecResult> {
  const [program = '', ...args] = command;
  const path = program.startsWith('/') ? program : inContainer(program);
  return pod.exec(container, [...(user === 'user' ? [inContainer('as_user')] : []), path, ...args], PATIENCE_S);
}

/** What the agent said last, for messages of failed tests. */
export function agentLog({ lab }: World): string {
  return readFileSync(lab.agent.logFile, 'utf8').split('\n').slice(-5).join('\n');
}
