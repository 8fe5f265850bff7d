// SPDX-License-Identifier: Apache-2.0
//
// Every attack twice: without a policy, where it has to get through, and with one, where not a packet may arrive.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../harness/lab.js';
import { ALLOWED, ALLOWED6, PORT } from './addresses.js';
import { ATTACKS, type Attack, type User } from './attacks.js';
import { hold, type Outcome, SCENARIOS } from './scenarios.js';
import { agentLog, applyPolicies, attackIn, makeWorld, type World } from './world.js';

/** Of the programs. */
const CODE = { sent: 0, misused: 2, impossible: 3 };

let lab: Lab;
let world: World;

const CASES = ATTACKS.flatMap((attack) =>
  attack.users.map((user): [string, Attack, User] => [`${attack.name} as ${user}`, attack, user]),
);

/** What cannot be done here at all, by this user or on this kernel, and why. */
const impossible = new Map<string, string>();

beforeAll(async () => {
  lab = await Lab.create();
  world = await makeWorld(lab);
});

afterAll(() => lab.cleanup.run());

const tell = (it: Outcome) =>
  `code ${it.code}, ${it.packets} packets, ${it.resets} resets, last: ${it.last}\n${it.output}`;

describe('without a policy', () => {
  test.each(CASES)('%s gets through', async (title, attack, user) => {
    const done = await SCENARIOS[attack.scenario](world, attack, user, false);
    expect(done.code, tell(done)).not.toBe(CODE.misused);
    if (done.code === CODE.impossible) {
      impossible.set(title, done.output);
      return;
    }
    expect(done.packets, tell(done)).toBeGreaterThan(0);
  });
});

describe('with a policy', () => {
  beforeAll(async () => {
    for (const [, attack, user] of CASES) if (attack.scenario === 'held') await hold(world, attack, user);
    await applyPolicies(world);
  });

  afterAll(() => {
    for (const [title, why] of impossible) process.stderr.write(`not possible here: ${title}: ${why}\n`);
  });

  test.each(['jail', 'raw', 'admin', 'host'] as const)('%s reaches what it is allowed', async (name) => {
    for (const address of [ALLOWED, ALLOWED6]) {
      const tcp = await attackIn(world.pods[name], name, 'user', ['tcp_connect', 'connect', address, PORT]);
      const udp = await attackIn(world.pods[name], name, 'user', ['datagram', 'unconnected', address, PORT, address]);
      expect([tcp.stdout, udp.stdout], agentLog(world)).toEqual(['sent\n', 'sent\n']);
    }
  });

  test.each(CASES)('%s', async (title, attack, user) => {
    if (impossible.has(title)) return;
    const done = await SCENARIOS[attack.scenario](world, attack, user, true);
    expect(done.code, tell(done)).not.toBe(CODE.misused);
    expect(done.missed, 'the counter was too slow').toBe(0);
    if (attack.holds === 'refused') {
      expect(done.packets, tell(done)).toBe(0);
      return;
    }
    process.stderr.write(`exception: ${title} gets through (${done.packets} packets): ${attack.holds.exception}\n`);
    expect(done.packets, `${tell(done)}\nis refused now: it is no exception any more`).toBeGreaterThan(0);
  });
});
