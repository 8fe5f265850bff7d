// SPDX-License-Identifier: Apache-2.0
//
// How an attack is run, when more than one process has a part in it. Each returns what arrived where it should not.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinCgroup } from '../harness/cgroups.js';
import type { ExecResult, Pod } from '../harness/pods.js';
import { Background, run, until } from '../harness/run.js';
import {
  ALLOWED_NAME,
  ANNOUNCED,
  FORBIDDEN,
  FORBIDDEN6,
  forbidden6Of,
  forbiddenOf,
  OWNED_PORT,
  POD,
  POD6,
  RESOLVER,
  RESOLVER6,
  SHARED,
  TRIES,
} from './addresses.js';
import type { Attack, Scenario, User } from './attacks.js';
import { inContainer, program } from './programs.js';
import { attackIn, type World } from './world.js';

/** An attack as one user runs it, with addresses of its own. */
export interface Case {
  readonly title: string;
  readonly attack: Attack;
  readonly user: User;
  /** From 1. */
  readonly index: number;
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly packets: number;
  readonly resets: number;
}

export const LONG = process.env.LONG === '1';
let files = 0;

/** Those where a name has to be learned first: the programs say so. */
export const isNamed = (scenario: Scenario): boolean => scenario === 'named' || scenario.startsWith('spoofed');

function podOf({ pods }: World, { scenario, container }: Attack): { pod: Pod; container: string } {
  if (scenario === 'host network') return { pod: pods.host, container: 'host' };
  if (isNamed(scenario)) return { pod: pods.named, container: 'named' };
  return { pod: pods[container], container };
}

function commandOf(world: World, { attack, index }: Case, hasPolicy: boolean): string[] {
  const { pod } = podOf(world, attack);
  const values: Record<string, string> = {
    [FORBIDDEN]: forbiddenOf(index),
    [FORBIDDEN6]: forbidden6Of(index),
    [RESOLVER]: world.pods.names.v4,
    [RESOLVER6]: world.pods.names.v6,
    [POD]: pod.v4,
    [POD6]: pod.v6,
    [TRIES]: String(hasPolicy && LONG ? 1_000_000 : 10_000),
  };
  const fill = (text: string) =>
    Object.entries(values).reduce((all, [name, value]) => all.replaceAll(name, value), text);
  return [attack.program, ...attack.arguments].map(fill);
}

/** The last 16 bits of the address where its packets would arrive. */
function numberOf({ attack, index }: Case): number {
  const [, , high = 0, low = 0] = (attack.scenario === 'multipath' ? ANNOUNCED : SHARED).split('.').map(Number);
  const isFixed = attack.scenario === 'multipath' || attack.arguments.includes(SHARED);
  return isFixed ? high * 256 + low : index;
}

/** Runs it, and counts what arrives while it does. */
async function watched(world: World, it: Case, start: () => Promise<ExecResult>): Promise<Outcome> {
  const number = numberOf(it);
  const before = await world.outside.arrived(number);
  const result = await start();
  const after = await world.outside.arrived(number);
  return {
    ...outputOf(result),
    packets: after.packets - before.packets,
    resets: after.resets - before.resets,
  };
}

const outputOf = ({ code, stdout, stderr }: ExecResult) => ({ code, output: `${stdout}${stderr}`.trim() });

type Run = (world: World, it: Case, hasPolicy: boolean) => Promise<Outcome>;

const exec: Run = (world, it, hasPolicy) => {
  const { pod, container } = podOf(world, it.attack);
  return watched(world, it, () => attackIn(pod, container, it.user, commandOf(world, it, hasPolicy)));
};

const podLoopback: Run = async (world, it, hasPolicy) => {
  const before = await world.local.total();
  const result = await attackIn(world.pods.jail, 'jail', it.user, commandOf(world, it, hasPolicy));
  return { ...outputOf(result), packets: (await world.local.total()) - before, resets: 0 };
};

/** A neighbour makes the socket; the jail uses it. */
const passed: Run = async (world, it, hasPolicy) => {
  const { jail } = world.pods;
  const command = commandOf(world, it, hasPolicy);
  command[3] = it.title;
  const giving = attackIn(jail, 'neighbour', it.user, ['pass', 'give', ...command.slice(2)]);
  // The neighbour may connect, and what it sends is its own.
  await sleep(300);
  const done = await watched(world, it, () => attackIn(jail, 'jail', it.user, command));
  await giving;
  return done;
};

/** Sockets that are connected now and used later. */
const waiting = new Map<string, { readonly result: Promise<ExecResult>; readonly go: () => Promise<unknown> }>();

export async function hold(world: World, it: Case): Promise<void> {
  const { jail } = world.pods;
  const file = `/tmp/held-${files++}`;
  const result = attackIn(jail, 'jail', it.user, [...commandOf(world, it, false), file]);
  // One that failed at once is told when its result is asked for.
  result.catch(() => undefined);
  await ready(jail, 'jail', file);
  waiting.set(it.title, { result, go: () => jail.exec('jail', ['/bin/sh', '-c', `: > ${file}.go`]) });
}

async function ready(pod: Pod, container: string, file: string): Promise<void> {
  const isThere = async () => (await pod.exec(container, ['/bin/ls', `${file}.ready`])).code === 0;
  await until(`${file}.ready is there`, isThere, 10_000, 50);
}

const held: Run = async (world, it, hasPolicy) => {
  if (!hasPolicy) await hold(world, it);
  const before = waiting.get(it.title);
  if (!before) throw new Error(`${it.title}: was not connected before the policy`);
  waiting.delete(it.title);
  return watched(world, it, async () => {
    await before.go();
    return before.result;
  });
};

/** A process of this machine, in the pod's network, that is moved into the container's cgroup when it has connected. */
const moved: Run = async (world, it, hasPolicy) => {
  const { jail } = world.pods;
  const file = join(world.lab.folder, `moved-${files++}`);
  const [name = '', ...args] = commandOf(world, it, hasPolicy);
  const [enter = '', ...more] = jail.inNetwork([program(name), ...args, file]);
  const process = new Background(enter, more, `${file}.log`);
  await until(`${it.title} is connected`, () => existsSync(`${file}.ready`), 10_000, 10);
  joinCgroup(jail.cgroupOf('jail'), process.pid);
  return watched(world, it, async () => {
    writeFileSync(`${file}.go`, '');
    return finished(process);
  });
};

async function finished(process: Background): Promise<ExecResult> {
  const code = await process.exited;
  return { code, stdout: readFileSync(process.logFile, 'utf8'), stderr: '' };
}

const subCgroup: Run = (world, it, hasPolicy) => {
  const { jail } = world.pods;
  const number = files++;
  const cgroup = join(jail.cgroupOf('jail'), `own-${number}`, 'deeper');
  mkdirSync(cgroup, { recursive: true });
  const [name = '', ...args] = commandOf(world, it, hasPolicy);
  const command = [...(it.user === 'user' ? [inContainer('as_user')] : []), inContainer(name), ...args];
  const enter = ['nsenter', '-t', String(jail.processOf('jail')), '-m', '-n', '-i', '-u', '-p', '--', ...command];
  const start = `echo $$ > ${cgroup}/cgroup.procs && exec "$@"`;
  const log = join(world.lab.folder, `sub-${number}.log`);
  return watched(world, it, () => finished(new Background('sh', ['-c', start, 'sh', ...enter], log)));
};

/** Somebody else forges answers while the container waits for the true one. */
const spoofed: Run = async (world, it, hasPolicy) => {
  const { named, names, jail } = world.pods;
  const { scenario } = it.attack;
  const from = scenario === 'spoofed from another pod' ? jail : named;
  const how = scenario === 'spoofed by a frame' ? 'frame' : 'raw';
  const command = ['spoof', how, names.v4, ALLOWED_NAME, forbiddenOf(it.index), '800', named.v4];
  const forging = attackIn(from, 'neighbour', 'root', command);
  await sleep(100);
  const done = await exec(world, it, hasPolicy);
  const { code, stdout, stderr } = await forging;
  if (!hasPolicy && code !== 0) throw new Error(`the answers were not forged: ${stdout}${stderr}`);
  return done;
};

const CALLS = 20;

/** From outside to the pod; what the container that has no right to it says that it received. */
function callIn(world: World, protocol: string): void {
  const to = world.pods.jail.v4;
  const [name, ...args] =
    protocol === 'tcp'
      ? (['tcp_connect', 'connect', to, OWNED_PORT] as const)
      : (['datagram', 'unconnected', to, OWNED_PORT, to] as const);
  const calls = `for i in $(seq ${CALLS}); do "$@" >/dev/null & done; wait`;
  run('nsenter', world.outside.edge.enter(['sh', '-c', calls, 'sh', program(name), ...args]));
}

interface Port {
  readonly end: () => Promise<ExecResult>;
}

async function takePort(world: World, container: string, user: User, command: readonly string[]): Promise<Port> {
  const { jail } = world.pods;
  const file = `/tmp/port-${files++}`;
  const result = attackIn(jail, container, user, [...command, file]);
  result.catch(() => undefined);
  await ready(jail, container, file);
  const end = async () => {
    await jail.exec(container, ['/bin/sh', '-c', `: > ${file}.end`]);
    return result;
  };
  return { end };
}

const received = ({ stdout }: ExecResult): number => Number(/received (\d+)/.exec(stdout)?.[1] ?? 0);

/** The jail has the port, and its neighbour takes it: what the neighbour receives is counted. */
const takeover: Run = async (world, it, hasPolicy) => {
  const { attack, user } = it;
  const command = commandOf(world, it, hasPolicy);
  const [name = '', protocol = '', how = ''] = command;
  const own = () => takePort(world, 'jail', user, [name, protocol, how, '0.0.0.0', OWNED_PORT]);
  if (attack.scenario === 'restarted') {
    await (await own()).end();
    await world.pods.jail.restart('jail');
  }
  const owner = attack.scenario === 'absent' ? undefined : await own();
  const thief = await takePort(world, 'neighbour', user, command);
  callIn(world, protocol);
  await sleep(50);
  const stolen = await thief.end();
  const kept = await owner?.end();
  if (kept && kept.code !== 0) throw new Error(`the owner could not have its port: ${kept.stdout}`);
  const { code, output } = outputOf(stolen);
  return {
    code,
    output: `${output}; its owner: ${kept?.stdout.trim() ?? 'absent'}`,
    packets: received(stolen),
    resets: 0,
  };
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
  'spoofed by a frame': spoofed,
  'spoofed from another pod': spoofed,
  takeover,
  restarted: takeover,
  absent: takeover,
};

/** What shares something runs one after the other; the rest may run at once. */
export function laneOf({ scenario, container, program }: Attack): string | undefined {
  if (program === 'race' && LONG) return 'the processors';
  if (container === 'admin') return 'the network of its pod';
  if (isNamed(scenario)) return 'the port of who asks for names';
  if (scenario === 'multipath') return 'the announced address';
  return scenario === 'pod loopback' ? 'the counter of the pod' : undefined;
}

/** These end the container that the others run in. */
export const isLast = ({ scenario }: Attack): boolean => ['takeover', 'restarted', 'absent'].includes(scenario);
