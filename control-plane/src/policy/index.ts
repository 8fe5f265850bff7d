// SPDX-License-Identifier: Apache-2.0
export { type CompiledRuleSets, compile } from './compile.js';
export { type Evaluation, evaluate } from './evaluate.js';
export { type Policy, type PolicyContainer, type Problem, policyKey } from './model.js';
export { addressBits, addressText, parseNetwork, prefixMask } from './network.js';
export { type Parsed, parsePolicies } from './parse.js';
export { selects } from './select.js';
