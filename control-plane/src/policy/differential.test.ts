// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { randomConnection, randomWorld } from '../testing/policy_cases.js';
import { askCompiled, compilerOf, copied, fullFor, keyOf, RuleNumbers } from '../testing/policy_compile.js';
import { Random } from '../testing/random.js';
import { Feed } from './compile/feed.js';
import { Evaluator } from './evaluate.js';
import { amended } from './lookup.js';
import type { World } from './world.js';

/** CASES=100000 for the long run, SEED to see one again. */
const CASES = Number(process.env.CASES ?? 10_000);
const SEED = Number(process.env.SEED ?? Date.now() % 1e9);
const LONGEST_MS = process.env.CASES ? Number.POSITIVE_INFINITY : 15_000;
const OF_A_WORLD = 10;

function wantedOf(evaluator: Evaluator, connection: Parameters<Evaluator['evaluate']>[0]) {
  const { verdict, policy, rule, trace } = evaluator.evaluate(connection);
  const none = trace.selectedBy.length > 0 ? '(default allow)' : '(no policy)';
  return { verdict, rule: policy === null ? none : `${policy}:${rule}` };
}

function checkWorld(seed: number, cases: number): Record<string, number> {
  const random = new Random(seed);
  const world = randomWorld(random);
  const numbers = new RuleNumbers();
  const compiler = compilerOf(world, numbers);
  const sets = new Map(world.nodes.map(({ name }) => [name, fullFor(compiler, name)]));
  const evaluator = new Evaluator(world);
  const seen: Record<string, number> = {};
  for (let i = 0; i < cases; i++) {
    const connection = randomConnection(random, world);
    const wanted = wantedOf(evaluator, connection);
    const { selectors } = compiler.profileOf(connection.container);
    const node = sets.get(connection.container.node);
    const found = node && askCompiled(node, world, selectors, connection, numbers);
    seen[wanted.verdict] = (seen[wanted.verdict] ?? 0) + 1;
    if (found?.verdict !== wanted.verdict || found.rule !== wanted.rule)
      expect({ seed, case: i, connection, ...found }).toEqual({ seed, case: i, connection, ...wanted });
  }
  return seen;
}

it('the compiled rule sets say what the reference evaluator says', () => {
  const end = performance.now() + LONGEST_MS;
  const seen: Record<string, number> = {};
  let done = 0;
  for (; done < CASES && performance.now() < end; done += OF_A_WORLD)
    for (const [verdict, count] of Object.entries(checkWorld(SEED + done / OF_A_WORLD, OF_A_WORLD)))
      seen[verdict] = (seen[verdict] ?? 0) + count;
  process.stdout.write(`${done} cases from seed ${SEED}: ${JSON.stringify(seen)}\n`);
  // A generator that makes everything come out alike would find nothing.
  for (const verdict of ['allowed', 'denied', 'audit']) expect(seen[verdict]).toBeGreaterThan(done / 100);
}, 3_600_000);

/** Containers come one after the other, some go: at the end, amendments have led to the same as compiling anew. */
function checkAmendments(seed: number): void {
  const random = new Random(seed);
  const world = randomWorld(random);
  const numbers = new RuleNumbers();
  const compiler = compilerOf({ ...world, containers: [] }, numbers);
  const feeds = new Map(world.nodes.map(({ name }) => [name, new Feed(name)]));
  const sets = new Map([...feeds].map(([name, feed]) => [name, copied(feed.full(compiler))]));
  let containers: World['containers'] = [];
  const step = () => {
    for (const [name, feed] of feeds) {
      const amendment = feed.amendment(compiler);
      if (amendment === 'full') sets.set(name, copied(feed.full(compiler)));
      else if (amendment) sets.set(name, copied(amended(sets.get(name) as never, amendment)));
    }
  };
  for (const container of world.containers) {
    compiler.update([{ key: keyOf(container), container }]);
    containers = [...containers, container];
    const leaving = random.chance(0.3) ? random.one(containers) : undefined;
    if (leaving) compiler.update([{ key: keyOf(leaving), container: null }]);
    containers = containers.filter((it) => it !== leaving);
    step();
    if (containers.length === 0) continue;
    const evaluator = new Evaluator({ ...world, containers });
    for (let i = 0; i < 3; i++) {
      const connection = { ...randomConnection(random, world), container: random.one(containers) };
      const { selectors } = compiler.profileOf(connection.container);
      const node = sets.get(connection.container.node) as never;
      const found = askCompiled(node, world, selectors, connection, numbers);
      const context = { seed, connection };
      expect({ ...context, ...found }).toEqual({ ...context, ...wantedOf(evaluator, connection) });
    }
  }
}

it('amendments lead to what the reference evaluator says of the containers that are left', () => {
  for (let i = 0; i < CASES / 50; i++) checkAmendments(SEED + i);
}, 3_600_000);
