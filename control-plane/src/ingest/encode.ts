// SPDX-License-Identifier: Apache-2.0
import type { CompiledAddress, CompiledAmendment, CompiledRuleSet, CompiledRuleSets } from '../policy/index.js';
import { v1 } from './wire.js';

// Many nodes are sent the same addresses and the same rule sets, so that each is encoded once.
const addressBytes = new WeakMap<readonly CompiledAddress[], Uint8Array>();
const ruleSetBytes = new WeakMap<CompiledRuleSet, { readonly entries: number; readonly bytes: Uint8Array }>();

function encodeShared(addresses: readonly CompiledAddress[]): Uint8Array {
  const known = addressBytes.get(addresses) ?? v1.RuleSets.encode({ addresses: [...addresses] }).finish();
  addressBytes.set(addresses, known);
  return known;
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

/** A serialized RuleSets, as agents keep it. Messages one after the other are one: their lists follow each other. */
export function encodeRuleSets({ sharedAddresses, ruleSets, ...own }: CompiledRuleSets): Uint8Array {
  const head = v1.RuleSets.encode(own).finish();
  return Buffer.concat([head, ...ruleSets.map(encodeRuleSet), encodeShared(sharedAddresses)]);
}

/** A serialized RuleSetAmendment. */
export function encodeAmendment(compiled: CompiledAmendment): Uint8Array {
  return v1.RuleSetAmendment.encode(compiled).finish();
}
