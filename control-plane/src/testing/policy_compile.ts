// SPDX-License-Identifier: Apache-2.0
//
// Compiles a whole world for tests, and asks it as an agent and a kernel would.
import { type CompiledRuleSets, VERDICT } from '../policy/compile/compiled.js';
import { PolicyCompiler } from '../policy/compile/compiler.js';
import { Feed } from '../policy/compile/feed.js';
import type { Connection } from '../policy/evaluate.js';
import { lookup, ruleSetOf } from '../policy/lookup.js';
import { addressBits } from '../policy/network.js';
import { bitsOf, type World, type WorldContainer } from '../policy/world.js';

/** Numbers as the store gives them. */
export class RuleNumbers {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();

  readonly ruleNumber = (policy: string, rule: string): number => {
    const name = `${policy}:${rule}`;
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.#names.length + 16);
    return this.#names.push(name) + 15;
  };

  nameOf(number: number): string {
    if (number === 0) return '(no policy)';
    if (number === 0) return '(no policy)';
    if (number === 1) return '(default allow)';
    return this.#names[number - 16] ?? `unknown rule ${number}`;
  }
}

/** Lists of rule sets grow while identities come: tests want what a node got. */
export function copied(sets: CompiledRuleSets): CompiledRuleSets {
  const ruleSets = sets.ruleSets.map((it) => ({ ...it, ports: [...it.ports], identities: [...it.identities] }));
  return { ...sets, ruleSets, addresses: [...sets.addresses, ...sets.sharedAddresses], sharedAddresses: [] };
}

export const keyOf = (container: WorldContainer): string =>
  `${container.node} ${container.namespace} ${container.pod} ${container.name}`;

export function compilerOf(world: World, numbers: RuleNumbers, generation = 1): PolicyCompiler {
  const containers = world.containers.map((container) => ({ key: keyOf(container), container }));
  return new PolicyCompiler({ ...world, generation, containers, observations: [], ruleNumber: numbers.ruleNumber });
}

export interface Answer {
  readonly verdict: string;
  readonly rule: string;
}

const VERDICTS = Object.fromEntries(Object.entries(VERDICT).map(([name, number]) => [number, name]));

/** What the container's node would say with these rule sets. */
export function askCompiled(
  sets: CompiledRuleSets,
  world: World,
  selectors: readonly number[],
  connection: Connection,
  numbers: RuleNumbers,
): Answer {
  const { container, address } = connection;
  const set = ruleSetOf(sets, selectors);
  if (!set) return { verdict: 'allowed', rule: '(no policy)' };
  const ofNodes = new Set(world.nodes.flatMap((node) => bitsOf(node.addresses)));
  const bits = addressBits(address) ?? 0n;
  const ownPod = !ofNodes.has(bits) && bitsOf(container.addresses).includes(bits);
  const found = lookup(sets, set, { ...connection, ownPod }, container.node);
  if (!found) return { verdict: 'hole', rule: '' };
  return { verdict: VERDICTS[found.verdict] ?? '', rule: numbers.nameOf(found.rule) };
}

export function fullFor(compiler: PolicyCompiler, node: string): CompiledRuleSets {
  return copied(new Feed(node).full(compiler));
}
