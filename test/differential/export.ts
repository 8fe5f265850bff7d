// SPDX-License-Identifier: Apache-2.0
//
// Cases for the real kernel: what an agent gets, one connect, and what the reference evaluator says of it.
//
//   node_modules/.bin/tsx test/differential/export.ts FOLDER [CASES] [SEED]
//
// FOLDER/cases.jsonl has one case a line: {sets, ruleSet, node, container, direction, address, protocol, port, verdict, rule};
// FOLDER/<sets> is a serialized cellwall.v1.RuleSets as this node gets it. Addresses are of 10.7.0.0/16 and fd07::/64, so
// that a test can give all of them to one interface; none is of the container's own pod. Numbers of rules are those of the
// file; those that stand for no rule are as in cellwall.v1.BuiltinRule.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeRuleSets } from '../../control-plane/src/ingest/encode.js';
import { RULE_DEFAULT_ALLOW, RULE_NO_POLICY } from '../../control-plane/src/policy/compile/compiled.js';
import { type Connection, Evaluator } from '../../control-plane/src/policy/evaluate.js';
import { ruleSetOf } from '../../control-plane/src/policy/lookup.js';
import type { Network } from '../../control-plane/src/policy/model.js';
import { isWithin, parseNetwork } from '../../control-plane/src/policy/network.js';
import { bitsOf, type World } from '../../control-plane/src/policy/world.js';
import { randomConnection, randomWorld } from '../../control-plane/src/testing/policy_cases.js';
import { compilerOf, fullFor, RuleNumbers } from '../../control-plane/src/testing/policy_compile.js';
import { Random } from '../../control-plane/src/testing/random.js';

const OF_A_WORLD = 8;
const MOST_TRIES = 100;
const REACHABLE = ['10.7.0.0/16', 'fd07::/64'].map((text) => parseNetwork(text) as Network);

function fits(world: World, { container, direction, address, protocol }: Connection): boolean {
  const [bits = 0n] = bitsOf([address]);
  const nodes = world.nodes.flatMap((node) => bitsOf(node.addresses));
  const own = bitsOf(container.addresses);
  const inside = own.some((it) => !nodes.includes(it)) && !own.includes(bits);
  return direction === 'egress' && (protocol === 6 || protocol === 17) && isWithin(REACHABLE, bits) && inside;
}

function connections(random: Random, world: World): Connection[] {
  const found: Connection[] = [];
  for (let tries = 0; tries < MOST_TRIES && found.length < OF_A_WORLD; tries++) {
    const connection = { ...randomConnection(random, world), names: [] };
    if (fits(world, connection)) found.push(connection);
  }
  return found;
}

function casesOf(seed: number, folder: string): string[] {
  const random = new Random(seed);
  const world = randomWorld(random);
  const numbers = new RuleNumbers();
  const compiler = compilerOf(world, numbers, seed);
  const evaluator = new Evaluator(world);
  const sets = new Map(world.nodes.map(({ name }) => [name, fullFor(compiler, name)]));
  for (const [node, compiled] of sets)
    writeFileSync(join(folder, `${seed}-${node}.pb`), encodeRuleSets(compiled).payload);
  return connections(random, world).flatMap((connection) => {
    const { container } = connection;
    const compiled = sets.get(container.node);
    const { selectors } = compiler.profileOf(container);
    const ruleSet = compiled && ruleSetOf(compiled, selectors)?.id;
    if (ruleSet === undefined) return [];
    const { verdict, policy, rule, trace } = evaluator.evaluate(connection);
    const none = trace.selectedBy.length > 0 ? RULE_DEFAULT_ALLOW : RULE_NO_POLICY;
    const number = policy === null || rule === null ? none : numbers.ruleNumber(policy, rule);
    const { direction, address, protocol, port } = connection;
    const asked = { container, direction, address, protocol, port };
    return JSON.stringify({
      sets: `${seed}-${container.node}.pb`,
      ruleSet,
      node: container.node,
      ...asked,
      verdict,
      rule: number,
    });
  });
}

const [folder = '', count = '1000', seed = '1'] = process.argv.slice(2);
if (folder === '') throw new Error('usage: export.ts FOLDER [CASES] [SEED]');
mkdirSync(folder, { recursive: true });
const lines: string[] = [];
for (let world = Number(seed); lines.length < Number(count); world++) lines.push(...casesOf(world, folder));
writeFileSync(join(folder, 'cases.jsonl'), `${lines.slice(0, Number(count)).join('\n')}\n`);
