// SPDX-License-Identifier: Apache-2.0
export { type CompiledRuleSets, compile } from './compile.js';
export { type Evaluation, evaluate } from './evaluate.js';
export {
  documentKey,
  KINDS,
  type Kind,
  type Observation,
  type Observed,
  observationKey,
  type Policy,
  type PolicyContainer,
  type Problem,
  policyKey,
  type Selection,
} from './model.js';
export { addressBits, addressText, parseNetwork, prefixMask } from './network.js';
export { type Parsed, parseDocuments, type Source } from './parse.js';
export { observedOf, selects } from './select.js';
