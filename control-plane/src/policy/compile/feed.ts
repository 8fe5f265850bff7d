// SPDX-License-Identifier: Apache-2.0
//
// What one node has been sent, and what it lacks.
import type { CompiledAmendment, CompiledDifference, CompiledRuleSet, CompiledRuleSets } from './compiled.js';
import type { PolicyCompiler } from './compiler.js';
import { differenceOf } from './difference.js';
import type { RuleSetBuilder } from './rule_set.js';

/** How much of the lists of a rule set was sent. */
interface Mark {
  readonly ports: number;
  readonly identities: number;
}

/** Of as much as there is; one and the same for all nodes. */
const marks = new WeakMap<RuleSetBuilder, Mark>();

function markOf(builder: RuleSetBuilder): Mark {
  const { ports, identities } = builder.set;
  const known = marks.get(builder);
  if (known?.ports === ports.length && known.identities === identities.length) return known;
  const mark = { ports: ports.length, identities: identities.length };
  marks.set(builder, mark);
  return mark;
}

export class Feed {
  readonly #node: string;
  #compiler: PolicyCompiler | undefined;
  #revision = 0;
  #selectors = 0;
  #position = 0;
  #turns = 0;
  #grown = 0;
  #sent = new Map<RuleSetBuilder, Mark>();

  constructor(node: string) {
    this.#node = node;
  }

  full(compiler: PolicyCompiler): CompiledRuleSets {
    const builders = compiler.ruleSets(this.#node);
    this.#sent = new Map();
    this.#note(compiler, builders);
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
    if (!before || before === compiler || !this.#hasAllOf(before)) return undefined;
    const builders = compiler.ruleSets(this.#node);
    const sets = (of: Iterable<RuleSetBuilder>) => Array.from(of, ({ set }) => set);
    const base = { baseGeneration: before.generation, baseRevision: this.#revision };
    const difference = differenceOf(this.#node, before, sets(this.#sent.keys()), compiler, sets(builders));
    if (!difference) return undefined;
    this.#sent = new Map();
    this.#note(compiler, builders);
    return { ...base, ...difference };
  }

  #hasAllOf(compiler: PolicyCompiler): boolean {
    return (
      compiler.turnsOf(this.#node) === this.#turns &&
      compiler.selectors.length === this.#selectors &&
      compiler.addresses.journal.length === this.#position &&
      !compiler.grown.slice(this.#grown).some((it) => this.#sent.has(it))
    );
  }

  #note(compiler: PolicyCompiler, builders: Iterable<RuleSetBuilder>): void {
    for (const builder of builders) this.#sent.set(builder, markOf(builder));
    this.#revision = compiler.revision;
    this.#compiler = compiler;
    this.#selectors = compiler.selectors.length;
    this.#seen(compiler);
  }

  #seen(compiler: PolicyCompiler): void {
    this.#position = compiler.addresses.journal.length;
    this.#turns = compiler.turnsOf(this.#node);
    this.#grown = compiler.grown.length;
  }

  /** null: the node has all. "full": it needs all rule sets. With hundreds of nodes, only what has changed may cost something. */
  amendment(compiler: PolicyCompiler): CompiledAmendment | 'full' | null {
    if (compiler !== this.#compiler) return 'full';
    if (compiler.revision === this.#revision) return null;
    if (compiler.selectors.length !== this.#selectors) return 'full';
    const isKept = compiler.turnsOf(this.#node) === this.#turns;
    const builders = isKept ? [] : compiler.ruleSets(this.#node);
    const exchanged = this.#exchange(builders);
    if (!exchanged) return 'full';
    const fresh = builders.filter((it) => !this.#sent.has(it));
    const grown = [...new Set([...exchanged, ...compiler.grown.slice(this.#grown)])].filter((it) => this.#sent.has(it));
    const additions = grown.flatMap((it) => this.#additionTo(it) ?? []);
    const changed = compiler.addresses.changesSince(this.#position, this.#node);
    const base = this.#revision;
    if (fresh.length + additions.length + changed.addresses.length + changed.removedAddresses.length === 0) {
      this.#seen(compiler);
      return null;
    }
    this.#note(compiler, [...grown, ...fresh]);
    if (fresh.length + additions.length === 0) return compiler.amendment(base, changed);
    const ruleSets = fresh.map(({ set }) => ({ ...set }));
    return { ...compiler.amendment(base, changed), ruleSets, additions };
  }

  /**
   * A node has one rule set for the same selectors: the one for nobody in particular gives way to the one that is exact,
   * and back. Returns those that took a place; undefined: they are others for the node.
   */
  #exchange(builders: readonly RuleSetBuilder[]): RuleSetBuilder[] | undefined {
    const fresh = new Map(builders.filter((it) => !this.#sent.has(it)).map((it) => [it.profile, it]));
    const exchanged: RuleSetBuilder[] = [];
    for (const before of fresh.size > 0 ? [...this.#sent.keys()] : []) {
      const now = fresh.get(before.profile);
      if (!now) continue;
      if (!isSame(before, now)) return undefined;
      const mark = this.#sent.get(before) as Mark;
      this.#sent.delete(before);
      this.#sent.set(now, mark);
      exchanged.push(now);
    }
    return exchanged;
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
}

function isSame({ set: a }: RuleSetBuilder, { set: b }: RuleSetBuilder): boolean {
  if (a.ports.length !== b.ports.length || a.identities.length !== b.identities.length) return false;
  return JSON.stringify([a.ports, a.identities]) === JSON.stringify([b.ports, b.identities]);
}
