// SPDX-License-Identifier: Apache-2.0
//
// How an attack is run, when more than one process has a part in it. Each returns what arrived where it should not.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinCgroup } from '../harness/cgroups.js';
import type { ExecResult, Pod } from '../harness/pods.js';
import { Background, run, until } from '../harness/run.js';
import { ALLOWED_NAME, FORBIDDEN, OWNED_PORT, POD, POD6, RESOLVER, RESOLVER6, TRIES } from './addresses.js';
import type { Attack, Scenario, User } from './attacks.js';
import type { Counted } from './outside.js';
import { inContainer, program } from './programs.js';
import { attackIn, type World } from './world.js';

export interface Outcome extends Counted {
  readonly code: number;
  readonly output: string;
}

const LONG = process.env.LONG === '1';
let runs = 0;

function podOf({ pods }: World, { scenario, container }: Attack): { pod: Pod; container: string } {
  if (scenario === 'host network') return { pod: pods.host, container: 'host' };
  if (scenario === 'named' || scenario === 'spoofed') return { pod: pods.named, container: 'named' };
  return { pod: pods[container], container };
}

function commandOf(world: World, attack: Attack, hasPolicy: boolean): string[] {
  const { pod } = podOf(world, attack);
  const values: Record<string, string> = {
    [RESOLVER]: world.pods.names.v4,
    [RESOLVER6]: world.pods.names.v6,
    [POD]: pod.v4,
    [POD6]: pod.v6,
    [TRIES]: String(hasPolicy ? (LONG ? 1_000_000 : 20_000) : 2_000),
  };
  return [attack.program, ...attack.arguments].map((it) => values[it] ?? it);
}

const outcome = (result: ExecResult, counted: Counted): Outcome => ({
  ...counted,
  code: result.code,
  output: `${result.stdout}${result.stderr}`.trim(),
});

type Run = (world: World, attack: Attack, user: User, hasPolicy: boolean) => Promise<Outcome>;

const exec: Run = async (world, attack, user, hasPolicy) => {
  const { pod, container } = podOf(world, attack);
  await world.outside.take();
  const result = await attackIn(pod, container, user, commandOf(world, attack, hasPolicy));
  return outcome(result, await world.outside.take());
};

const podLoopback: Run = async (world, attack, user, hasPolicy) => {
  await world.local.take();
  const result = await attackIn(world.pods.jail, 'jail', user, commandOf(world, attack, hasPolicy));
  return outcome(result, await world.local.take());
};

/** A neighbour makes the socket; the jail uses it. */
const passed: Run = async (world, attack, user, hasPolicy) => {
  const { jail } = world.pods;
  const command = commandOf(world, attack, hasPolicy);
  const giving = attackIn(jail, 'neighbour', user, ['pass', 'give', ...command.slice(2)]);
  // The neighbour may connect, and what it sends is its own.
  await sleep(200);
  await world.outside.take();
  const result = await attackIn(jail, 'jail', user, command);
  const counted = await world.outside.take();
  await giving;
  return outcome(result, counted);
};

interface Held {
  readonly result: Promise<ExecResult>;
  readonly go: () => Promise<unknown>;
}

/** Sockets that are connected now and used later, by attack and user. */
const waiting = new Map<string, Held>();
const keyOf = (attack: Attack, user: User) => `${attack.name} ${user}`;

export async function hold(world: World, attack: Attack, user: User): Promise<void> {
  const { jail } = world.pods;
  const file = `/tmp/held-${runs++}`;
  const result = attackIn(jail, 'jail', user, [...commandOf(world, attack, false), file]);
  // One that failed at once is told when its result is asked for.
  result.catch(() => undefined);
  const isReady = async () => (await jail.exec('jail', ['/bin/ls', `${file}.ready`])).code === 0;
  await until(`${attack.name} is connected`, isReady, 10_000, 50);
  waiting.set(keyOf(attack, user), { result, go: () => jail.exec('jail', ['/bin/sh', '-c', `: > ${file}.go`]) });
}

const held: Run = async (world, attack, user, hasPolicy) => {
  if (!hasPolicy) await hold(world, attack, user);
  const it = waiting.get(keyOf(attack, user));
  if (!it) throw new Error(`${attack.name} was not connected before the policy`);
  waiting.delete(keyOf(attack, user));
  await world.outside.take();
  await it.go();
  const result = await it.result;
  return outcome(result, await world.outside.take());
};

/** A process of this machine, in the pod's network, that is moved into the container's cgroup when it has connected. */
const moved: Run = async (world, attack, _user, hasPolicy) => {
  const { jail } = world.pods;
  const file = join(world.lab.folder, `moved-${runs++}`);
  const [name = '', ...args] = commandOf(world, attack, hasPolicy);
  const [enter = '', ...more] = jail.inNetwork([program(name), ...args, file]);
  const process = new Background(enter, more, `${file}.log`);
  await until(`${attack.name} is connected`, () => existsSync(`${file}.ready`), 10_000, 10);
  joinCgroup(jail.cgroupOf('jail'), process.pid);
  await world.outside.take();
  writeFileSync(`${file}.go`, '');
  const code = await process.exited;
  return outcome({ code, stdout: '', stderr: '' }, await world.outside.take());
};

const subCgroup: Run = async (world, attack, user, hasPolicy) => {
  const { jail } = world.pods;
  const cgroup = join(jail.cgroupOf('jail'), `own-${runs++}`, 'deeper');
  mkdirSync(cgroup, { recursive: true });
  const [name = '', ...args] = commandOf(world, attack, hasPolicy);
  const command = [...(user === 'user' ? [inContainer('as_user')] : []), inContainer(name), ...args];
  const enter = ['nsenter', '-t', String(jail.processOf('jail')), '-m', '-n', '-i', '-u', '-p', '--', ...command];
  await world.outside.take();
  const log = join(world.lab.folder, `sub-${runs++}.log`);
  const start = `echo $$ > ${cgroup}/cgroup.procs && exec "$@"`;
  const code = await new Background('sh', ['-c', start, 'sh', ...enter], log).exited;
  return outcome({ code, stdout: '', stderr: '' }, await world.outside.take());
};

/** A neighbour forges answers while the container waits for the true one. */
const spoofed: Run = async (world, attack, user, hasPolicy) => {
  const { named, names } = world.pods;
  const forging = attackIn(named, 'neighbour', 'root', ['spoof', 'raw', names.v4, ALLOWED_NAME, FORBIDDEN, '1500']);
  await sleep(100);
  const done = await exec(world, attack, user, hasPolicy);
  const { code, stdout, stderr } = await forging;
  if (!hasPolicy && code !== 0) throw new Error(`the neighbour did not forge: ${stdout}${stderr}`);
  return done;
};

const CALLS = 20;

/** From outside to the pod; what the container that has no right to it says that it received. */
async function callIn(world: World, attack: Attack): Promise<void> {
  const { edge } = world.outside;
  const to = world.pods.jail.v4;
  const isTcp = attack.arguments[0] === 'tcp';
  const command = isTcp ? ['tcp_connect', 'connect', to, OWNED_PORT] : ['datagram', 'unconnected', to, OWNED_PORT, to];
  const [name = '', ...args] = command;
  const calls = `for i in $(seq ${CALLS}); do "$@" >/dev/null & done; wait`;
  run('nsenter', edge.enter(['sh', '-c', calls, 'sh', program(name), ...args]));
}

async function listenIn(world: World, container: string, user: User, command: readonly string[]) {
  const { jail } = world.pods;
  const file = `/tmp/port-${runs++}`;
  const result = attackIn(jail, container, user, [...command, file]);
  result.catch(() => undefined);
  const isReady = async () => (await jail.exec(container, ['/bin/ls', `${file}.ready`])).code === 0;
  await until('the port was asked for', isReady, 10_000, 50);
  return {
    end: async () => {
      await jail.exec(container, ['/bin/sh', '-c', `: > ${file}.end`]);
      return result;
    },
  };
}

const received = ({ stdout }: ExecResult): number => Number(/received (\d+)/.exec(stdout)?.[1] ?? 0);

/** The jail has the port, and its neighbour takes it: what the neighbour receives is counted. */
const takeover: Run = async (world, attack, user, hasPolicy) => {
  const command = commandOf(world, attack, hasPolicy);
  const [, protocol = '', how = ''] = command;
  const owning = attack.scenario !== 'absent';
  if (attack.scenario === 'restarted') {
    const before = await listenIn(world, 'jail', user, ['takeover', protocol, how, '0.0.0.0', OWNED_PORT]);
    const result = before.end();
    await result;
    await world.pods.jail.restart('jail');
    if (hasPolicy) await sleep(1000);
  }
  const owner = owning ? await listenIn(world, 'jail', user, ['takeover', protocol, how, '0.0.0.0', OWNED_PORT]) : null;
  const thief = await listenIn(world, 'neighbour', user, command);
  await callIn(world, attack);
  await sleep(50);
  const stolen = await thief.end();
  const own = await owner?.end();
  const packets = received(stolen);
  const last = own ? `the owner received ${received(own)} (${own.stdout.trim()})` : 'there was no owner';
  return outcome(stolen, { packets, resets: 0, missed: 0, last });
};

export const SCENARIOS: Readonly<Record<Scenario, Run>> = {
  exec,
  multipath: exec,
  'host network': exec,
  named: exec,
  'pod loopback': podLoopback,
  passed,
  held,
  moved,
  'sub-cgroup': subCgroup,
  spoofed,
  takeover,
  restarted: takeover,
  absent: takeover,
};
