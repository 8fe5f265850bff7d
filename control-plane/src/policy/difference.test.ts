// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { randomWorld } from '../testing/policy_cases.js';
import { compilerOf, copied, fullFor, keyOf, RuleNumbers } from '../testing/policy_compile.js';
import { Random } from '../testing/random.js';
import type { CompiledRuleSets } from './compile/compiled.js';
import { Feed } from './compile/feed.js';
import { amended, differing } from './lookup.js';
import type { World } from './world.js';

const SEED = Number(process.env.SEED ?? Date.now() % 1e9);
const WORLDS = 80;

/** Without the order, which means nothing. */
function plain({ ruleSets, addresses, ...rest }: CompiledRuleSets) {
  const text = addresses.map((it) => JSON.stringify({ ...it, address: [...it.address] }));
  return { ...rest, ruleSets: [...ruleSets].sort((a, b) => a.id - b.id), addresses: text.sort() };
}

/** Another policy, one less, one in other words, or the same ones. */
function changed(random: Random, world: World): World {
  const other = { ...random.one(randomWorld(random).policies), name: 'other' };
  if (world.policies.length === 0) return { ...world, policies: [other] };
  const one = random.one(world.policies);
  const rest = world.policies.filter((it) => it !== one);
  const policies = random.one([
    [...world.policies, other],
    rest,
    [...rest, { ...one, egress: one.egress.slice(1) }],
    [...rest, { ...one, ingress: [] }],
    world.policies,
  ]);
  return { ...world, policies };
}

it('a difference leads to what all rule sets say, also after amendments', () => {
  const seen = { differences: 0, whole: 0 };
  for (let i = 0; i < WORLDS; i++) {
    const random = new Random(SEED + i);
    const numbers = new RuleNumbers();
    let world: World = randomWorld(random);
    const later = world.containers.slice(-2);
    const early = world.containers.slice(0, -2);
    let compiler = compilerOf({ ...world, containers: early }, numbers);
    const feeds = new Map(world.nodes.map(({ name }) => [name, new Feed(name)]));
    const sets = new Map([...feeds].map(([name, feed]) => [name, copied(feed.full(compiler))]));
    const has = (name: string) => sets.get(name) as CompiledRuleSets;
    compiler.update(later.map((container) => ({ key: keyOf(container), container })));
    for (const [name, feed] of feeds) {
      // One of the nodes misses it.
      const amendment = random.chance(0.2) ? null : feed.amendment(compiler);
      if (amendment === 'full') sets.set(name, copied(feed.full(compiler)));
      else if (amendment) sets.set(name, copied(amended(has(name), amendment)));
    }
    for (let generation = 2; generation < 5; generation++) {
      world = changed(random, world);
      compiler = compilerOf(world, numbers, generation);
      for (const [name, feed] of feeds) {
        expect(feed.amendment(compiler)).toBe('full');
        const difference = feed.difference(compiler);
        seen[difference ? 'differences' : 'whole']++;
        sets.set(name, copied(difference ? differing(has(name), difference) : feed.full(compiler)));
        expect({ seed: SEED + i, ...plain(has(name)) }).toEqual({ seed: SEED + i, ...plain(fullFor(compiler, name)) });
        expect(feed.amendment(compiler)).toBe(null);
      }
    }
  }
  // What is always sent whole says nothing about differences.
  expect(seen.differences).toBeGreaterThan(seen.whole);
});

it('a generation in which nothing is other for a node is sent without rule sets and addresses', () => {
  const random = new Random(7);
  const numbers = new RuleNumbers();
  const world = randomWorld(random);
  const before = compilerOf(world, numbers);
  const feed = new Feed('n1');
  const whole = feed.full(before);
  const again = compilerOf(world, numbers, 2);
  const difference = feed.difference(again);
  expect(whole.ruleSets.length).toBeGreaterThan(0);
  expect(difference).toMatchObject({
    baseGeneration: 1,
    generation: 2,
    policies: [],
    ruleSets: [],
    removedRuleSets: [],
    addresses: [],
    removedAddresses: [],
  });
});
