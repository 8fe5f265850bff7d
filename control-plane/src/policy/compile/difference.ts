// SPDX-License-Identifier: Apache-2.0
//
// From the rule sets of one compiler to those of the next: most changes of policies leave most of what a node has as it was.
import { isDeepStrictEqual } from 'node:util';
import type { CompiledAddress, CompiledDifference, CompiledRuleSet } from './compiled.js';
import type { PolicyCompiler } from './compiler.js';

/** Sending all is not much more than sending so much of the addresses. */
const MOST_CHANGED = 0.5;

const keyOf = ({ address }: CompiledAddress): string => Buffer.from(address).toString('latin1');
const byKey = (list: readonly CompiledAddress[]) => new Map(list.map((it) => [keyOf(it), it]));
const isSame = (a: CompiledAddress, b: CompiledAddress | undefined): boolean =>
  a.identity === b?.identity && a.node === b.node && a.ownIdentity === b.ownIdentity;
const changedFrom = (
  before: ReadonlyMap<string, CompiledAddress>,
  now: ReadonlyMap<string, CompiledAddress>,
): CompiledAddress[] => [...now].filter(([key, it]) => !isSame(it, before.get(key))).map(([, it]) => it);

/** What is the same for all nodes. */
class Common {
  readonly sameSelectors: boolean;
  readonly changed: readonly CompiledAddress[];
  readonly removed: readonly CompiledAddress[];
  /** So much else that all is better. */
  readonly isMuch: boolean;
  readonly #now: ReadonlyMap<string, CompiledAddress>;
  readonly #same = new WeakMap<CompiledRuleSet, { readonly now: CompiledRuleSet; readonly same: boolean }>();

  constructor(before: PolicyCompiler, now: PolicyCompiler) {
    this.sameSelectors = isDeepStrictEqual(before.selectors, now.selectors);
    const had = byKey(before.addresses.shared());
    this.#now = byKey(now.addresses.shared());
    this.changed = changedFrom(had, this.#now);
    this.removed = [...had].filter(([key]) => !this.#now.has(key)).map(([, it]) => it);
    this.isMuch = this.changed.length + this.removed.length > MOST_CHANGED * this.#now.size;
  }

  shares(address: CompiledAddress): boolean {
    return this.#now.has(keyOf(address));
  }

  /** Many nodes have the same. */
  isSameSet(before: CompiledRuleSet, now: CompiledRuleSet): boolean {
    const known = this.#same.get(before);
    if (known?.now === now) return known.same;
    const same = isDeepStrictEqual(before, now);
    this.#same.set(before, { now, same });
    return same;
  }
}

// Of the compiler before to the newest one.
const found = new WeakMap<PolicyCompiler, { readonly now: PolicyCompiler; readonly common: Common }>();

function commonOf(before: PolicyCompiler, now: PolicyCompiler): Common {
  const known = found.get(before);
  if (known?.now === now) return known.common;
  const common = new Common(before, now);
  found.set(before, { now, common });
  return common;
}

/** had: what the node has of the compiler before, complete. undefined: it is better sent all. */
export function differenceOf(
  node: string,
  before: PolicyCompiler,
  had: readonly CompiledRuleSet[],
  now: PolicyCompiler,
  has: readonly CompiledRuleSet[],
): Omit<CompiledDifference, 'baseGeneration' | 'baseRevision'> | undefined {
  const common = commonOf(before, now);
  // An empty list of selectors says that they stay.
  if (common.isMuch || now.selectors.length === 0) return undefined;
  const stays = new Map(had.map((set) => [set.id, set]));
  const ruleSets = has.filter((set) => {
    const old = stays.get(set.id);
    return !old || !common.isSameSet(old, set);
  });
  const ids = new Set(has.map(({ id }) => id));
  const own = byKey(now.addresses.particular(node));
  const ownBefore = byKey(before.addresses.particular(node));
  const removed = [...common.removed, ...[...ownBefore].filter(([key]) => !own.has(key)).map(([, it]) => it)];
  return {
    generation: now.generation,
    revision: now.revision,
    policies: common.sameSelectors ? [] : now.selectors,
    ruleSets,
    removedRuleSets: had.map(({ id }) => id).filter((id) => !ids.has(id)),
    addresses: [...common.changed, ...changedFrom(ownBefore, own)],
    removedAddresses: removed.filter((it) => !common.shares(it) && !own.has(keyOf(it))).map(({ address }) => address),
  };
}
