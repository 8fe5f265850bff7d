// SPDX-License-Identifier: Apache-2.0
import type { CompiledAmendment, CompiledRuleSets } from '../policy/index.js';
import { v1 } from './wire.js';

/** A serialized RuleSets, as agents keep it. */
export function encodeRuleSets(compiled: CompiledRuleSets): Uint8Array {
  return v1.RuleSets.encode(compiled).finish();
}

/** A serialized RuleSetAmendment. */
export function encodeAmendment(compiled: CompiledAmendment): Uint8Array {
  return v1.RuleSetAmendment.encode(compiled).finish();
}
