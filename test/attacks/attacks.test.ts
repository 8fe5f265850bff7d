// SPDX-License-Identifier: Apache-2.0
//
// Every attack twice: without a policy, where it has to get through, and with one, where not a packet may arrive.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../harness/lab.js';
import { ALLOWED, ALLOWED_NAME, ALLOWED6, PORT } from './addresses.js';
import { ATTACKS } from './attacks.js';
import { type Case, hold, isLast, isNamed, LONG, laneOf, type Outcome, SCENARIOS } from './scenarios.js';
import { agentLog, applyPolicies, attackIn, makeWorld, type World } from './world.js';

/** Of the programs. */
const CODE = { sent: 0, misused: 2, impossible: 3 };

let lab: Lab;
let world: World;

const CASES: readonly Case[] = ATTACKS.flatMap((attack) =>
  attack.users.map((user) => ({ title: `${attack.name} as ${user}`, attack, user })),
).map((it, index) => ({ ...it, index: index + 1 }));

const AT_ONCE = CASES.filter(({ attack }) => !isLast(attack));
const AT_LAST = CASES.filter(({ attack }) => isLast(attack));

/** In the short form it is enough that one user gets through: the other one has the same program. */
const isControl = ({ attack, user }: Case): boolean => LONG || user === attack.users[0];

/** What cannot be done here at all, by this user or on this kernel, and why. */
const impossible = new Map<string, string>();
const isImpossible = ({ attack, title }: Case): boolean =>
  impossible.has(title) || (!LONG && impossible.has(`${attack.name} as ${attack.users[0]}`));

beforeAll(async () => {
  lab = await Lab.create();
  world = await makeWorld(lab);
});

afterAll(() => lab.cleanup.run());

const tell = (it: Outcome) => `code ${it.code}, ${it.packets} packets, ${it.resets} resets\n${it.output}`;

const lanes = new Map<string, Promise<unknown>>();

function attempt(it: Case, hasPolicy: boolean): Promise<Outcome> {
  const lane = laneOf(it.attack);
  const start = () => SCENARIOS[it.attack.scenario](world, it, hasPolicy);
  if (!lane) return start();
  const done = (lanes.get(lane) ?? Promise.resolve()).then(start);
  lanes.set(
    lane,
    done.catch(() => undefined),
  );
  return done;
}

async function getsThrough(it: Case): Promise<void> {
  const done = await attempt(it, false);
  expect(done.code, tell(done)).not.toBe(CODE.misused);
  if (done.code === CODE.impossible) impossible.set(it.title, done.output);
  else expect(done.packets, tell(done)).toBeGreaterThan(0);
  if (isNamed(it.attack.scenario) && done.code === CODE.sent) expect(done.output).toMatch(/^(forged|answered)$/m);
}

async function meetsItsVerdict(it: Case): Promise<void> {
  if (isImpossible(it)) return;
  const done = await attempt(it, true);
  expect(done.code, tell(done)).not.toBe(CODE.misused);
  if (it.attack.holds === 'refused') {
    expect(done.packets, tell(done)).toBe(0);
    return;
  }
  process.stderr.write(`exception: ${it.title} gets through: ${it.attack.holds.exception}\n`);
  expect(done.packets, `${tell(done)}\nis refused now, so it is no exception any more`).toBeGreaterThan(0);
}

describe('without a policy', () => {
  test.concurrent.each(AT_ONCE.filter(isControl))('$title gets through', getsThrough);
});

describe('without a policy, at last', () => {
  test.each(AT_LAST.filter(isControl))('$title gets through', getsThrough);

  test('what is not possible here is told', () => {
    for (const [title, why] of impossible) process.stderr.write(`not possible here: ${title}: ${why}\n`);
  });
});

describe('with a policy', () => {
  beforeAll(async () => {
    for (const it of CASES) if (it.attack.scenario === 'held') await hold(world, it);
    await applyPolicies(world);
  });

  test.each(['jail', 'raw', 'admin', 'crowded', 'host'] as const)('%s reaches what it is allowed', async (name) => {
    for (const address of [ALLOWED, ALLOWED6]) {
      const tcp = await attackIn(world.pods[name], name, 'user', ['tcp_connect', 'connect', address, PORT]);
      const udp = await attackIn(world.pods[name], name, 'user', ['datagram', 'unconnected', address, PORT, address]);
      expect([tcp.stdout, udp.stdout], agentLog(world)).toEqual(['sent\n', 'sent\n']);
    }
  });

  test('named reaches the true address of a name', async () => {
    const command = ['lookup', world.pods.names.v4, ALLOWED_NAME, ALLOWED, PORT];
    const { stdout } = await attackIn(world.pods.named, 'named', 'user', command);
    expect(stdout, agentLog(world)).toBe('answered\nsent\n');
  });

  test.concurrent.each(AT_ONCE)('$title', { timeout: LONG ? 3_600_000 : 300_000 }, meetsItsVerdict);
});

describe('with a policy, at last', () => {
  test.each(AT_LAST)('$title', meetsItsVerdict);
});
