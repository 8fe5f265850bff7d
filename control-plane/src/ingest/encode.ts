// SPDX-License-Identifier: Apache-2.0
import { createHash, type Hash } from 'node:crypto';
import type {
  CompiledAddress,
  CompiledAmendment,
  CompiledRuleSet,
  CompiledRuleSets,
  CompiledSelector,
} from '../policy/index.js';
import { v1 } from './wire.js';

// Many nodes are sent the same addresses, selectors and rule sets, so that each is encoded once.
interface Shared {
  readonly selectors: readonly CompiledSelector[];
  readonly count: number;
  readonly bytes: Uint8Array;
  /** Of SHA-256, after these bytes. */
  readonly hash: Hash;
}
const addressBytes = new WeakMap<readonly CompiledAddress[], Shared>();
const ruleSetBytes = new WeakMap<CompiledRuleSet, { readonly entries: number; readonly bytes: Uint8Array }>();

/** Selectors only become more. */
function encodeShared(addresses: readonly CompiledAddress[], selectors: readonly CompiledSelector[]): Shared {
  const known = addressBytes.get(addresses);
  if (known?.selectors === selectors && known.count === selectors.length) return known;
  const bytes = v1.RuleSets.encode({ addresses: [...addresses], policies: [...selectors] }).finish();
  const shared = { selectors, count: selectors.length, bytes, hash: createHash('sha256').update(bytes) };
  addressBytes.set(addresses, shared);
  return shared;
}

/** Rule sets change by additions only. */
function encodeRuleSet(set: CompiledRuleSet): Uint8Array {
  const entries = set.ports.length + set.identities.length;
  const known = ruleSetBytes.get(set);
  if (known?.entries === entries) return known.bytes;
  const bytes = v1.RuleSets.encode({ ruleSets: [set] }).finish();
  ruleSetBytes.set(set, { entries, bytes });
  return bytes;
}

/**
 * A serialized RuleSets, as agents keep it, and its SHA-256. Messages one after the other are one: their lists follow each other. What
 * is shared comes first, so that it is hashed once for all nodes.
 */
export function encodeRuleSets({ sharedAddresses, policies, ruleSets, ...own }: CompiledRuleSets) {
  const shared = encodeShared(sharedAddresses, policies);
  const rest = Buffer.concat([v1.RuleSets.encode(own).finish(), ...ruleSets.map(encodeRuleSet)]);
  const digest = shared.hash.copy().update(rest).digest();
  return { payload: Buffer.concat([shared.bytes, rest]), digest };
}

/** A serialized RuleSetAmendment. */
export function encodeAmendment(compiled: CompiledAmendment): Uint8Array {
  return v1.RuleSetAmendment.encode(compiled).finish();
}
