// SPDX-License-Identifier: Apache-2.0
import type { CompiledRuleSets } from '../policy/index.js';
import { v1 } from './wire.js';

/** A serialized RuleSets, as agents keep it. */
export function encodeRuleSets(compiled: CompiledRuleSets): Uint8Array {
  return v1.RuleSets.encode(v1.RuleSets.create(compiled)).finish();
}
