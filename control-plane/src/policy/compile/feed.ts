// SPDX-License-Identifier: Apache-2.0
//
// What one node has been sent, and what it lacks.
import { addressBytes } from '../network.js';
import type { CompiledAmendment, CompiledDifference, CompiledRuleSet, CompiledRuleSets } from './compiled.js';
import type { PolicyCompiler } from './compiler.js';
import { differenceOf } from './difference.js';
import type { RuleSetBuilder } from './rule_set.js';

/** How much of the lists of a rule set was sent. */
interface Mark {
  readonly ports: number;
  readonly identities: number;
}

const markOf = ({ set }: RuleSetBuilder): Mark => ({ ports: set.ports.length, identities: set.identities.length });

const isWhole = ({ set }: RuleSetBuilder, mark: Mark | undefined): boolean =>
  set.ports.length === mark?.ports && set.identities.length === mark.identities;

export class Feed {
  readonly #node: string;
  #compiler: PolicyCompiler | undefined;
  #revision = 0;
  #selectors = 0;
  #position = 0;
  #state = '';
  #sent = new Map<RuleSetBuilder, Mark>();

  constructor(node: string) {
    this.#node = node;
  }

  full(compiler: PolicyCompiler): CompiledRuleSets {
    const builders = compiler.ruleSets(this.#node);
    this.#note(compiler, builders, true);
    return {
      generation: compiler.generation,
      revision: compiler.revision,
      policies: compiler.selectors,
      ruleSets: builders.map(({ set }) => set),
      addresses: compiler.addresses.particular(this.#node),
      sharedAddresses: compiler.addresses.shared(),
    };
  }

  /** From what the node has of another compiler. undefined: it has nothing, or not all of that, or is better sent all. */
  difference(compiler: PolicyCompiler): CompiledDifference | undefined {
    const before = this.#compiler;
    if (!before || before === compiler) return undefined;
    const sent = [...this.#sent.keys()];
    const hasAll =
      before.stateOf(this.#node) === this.#state &&
      before.addresses.journal.length === this.#position &&
      sent.every((it) => isWhole(it, this.#sent.get(it)));
    if (!hasAll) return undefined;
    const builders = compiler.ruleSets(this.#node);
    const sets = (of: readonly RuleSetBuilder[]) => of.map(({ set }) => set);
    const base = { baseGeneration: before.generation, baseRevision: this.#revision };
    const difference = differenceOf(this.#node, before, sets(sent), compiler, sets(builders));
    if (!difference) return undefined;
    this.#note(compiler, builders, true);
    return { ...base, ...difference };
  }

  #note(compiler: PolicyCompiler, builders: readonly RuleSetBuilder[], anew: boolean): void {
    if (anew) this.#sent = new Map();
    for (const builder of builders) this.#sent.set(builder, markOf(builder));
    this.#compiler = compiler;
    this.#revision = compiler.revision;
    this.#selectors = compiler.selectors.length;
    this.#position = compiler.addresses.journal.length;
    this.#state = compiler.stateOf(this.#node);
  }

  /** null: the node has all. "full": it needs all rule sets. */
  amendment(compiler: PolicyCompiler): CompiledAmendment | 'full' | null {
    if (compiler !== this.#compiler) return 'full';
    if (compiler.revision === this.#revision) return null;
    const isKept = compiler.stateOf(this.#node) === this.#state;
    const builders = isKept ? [] : compiler.ruleSets(this.#node);
    if (compiler.selectors.length !== this.#selectors || !this.#exchange(builders)) return 'full';
    const fresh = builders.filter((it) => !this.#sent.has(it));
    const additions = isKept ? [] : [...this.#sent.keys()].flatMap((it) => this.#additionTo(it.extend()) ?? []);
    const changed = this.#changedAddresses(compiler);
    const base = this.#revision;
    if (fresh.length + additions.length + changed.addresses.length + changed.removedAddresses.length === 0) {
      this.#position = compiler.addresses.journal.length;
      this.#state = compiler.stateOf(this.#node);
      return null;
    }
    this.#note(compiler, isKept ? [] : [...this.#sent.keys(), ...fresh], false);
    return {
      generation: compiler.generation,
      baseRevision: base,
      revision: compiler.revision,
      ruleSets: fresh.map(({ set }) => ({ ...set })),
      additions,
      ...changed,
    };
  }

  /**
   * A node has one rule set for the same selectors: the one for nobody in particular gives way to the one that is exact,
   * and back. Returns whether that changes nothing for the node.
   */
  #exchange(builders: readonly RuleSetBuilder[]): boolean {
    const fresh = new Map(builders.filter((it) => !this.#sent.has(it)).map((it) => [it.profile, it]));
    for (const before of fresh.size > 0 ? [...this.#sent.keys()] : []) {
      const now = fresh.get(before.profile);
      if (!now) continue;
      if (!isSame(before.extend(), now)) return false;
      const mark = this.#sent.get(before) as Mark;
      this.#sent.delete(before);
      this.#sent.set(now, mark);
    }
    return true;
  }

  #additionTo(builder: RuleSetBuilder): CompiledRuleSet | undefined {
    const mark = this.#sent.get(builder);
    const { set } = builder;
    if (!mark) return undefined;
    if (set.identities.length === mark.identities) return undefined;
    const ports = set.ports.slice(mark.ports);
    const identities = set.identities.slice(mark.identities);
    return { ...set, policies: [], peers: [], names: [], ports, identities };
  }

  #changedAddresses({ addresses }: PolicyCompiler): Pick<CompiledAmendment, 'addresses' | 'removedAddresses'> {
    const changed = [...new Set(addresses.journal.slice(this.#position))];
    const now = changed.map((bits) => ({ bits, address: addresses.compiled(bits, this.#node) }));
    return {
      addresses: now.flatMap(({ address }) => address ?? []),
      removedAddresses: now.filter(({ address }) => !address).map(({ bits }) => addressBytes(bits)),
    };
  }
}

function isSame({ set: a }: RuleSetBuilder, { set: b }: RuleSetBuilder): boolean {
  if (a.ports.length !== b.ports.length || a.identities.length !== b.identities.length) return false;
  return JSON.stringify([a.ports, a.identities]) === JSON.stringify([b.ports, b.identities]);
}
