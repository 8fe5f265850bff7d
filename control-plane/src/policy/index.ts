// SPDX-License-Identifier: Apache-2.0
export type {
  CompiledAddress,
  CompiledAmendment,
  CompiledDifference,
  CompiledRuleSet,
  CompiledRuleSets,
  CompiledSelector,
} from './compile/compiled.js';
export { type ContainerChange, PolicyCompiler } from './compile/compiler.js';
export { Feed } from './compile/feed.js';
export { CRD_KINDS, type CrdKind, pluralOf } from './crd/kinds.js';
export {
  type CandidateTrace,
  type Connection,
  type Evaluation,
  Evaluator,
  evaluate,
  type RuleTrace,
  type SideTrace,
  type Verdict,
} from './evaluate.js';
export { type Ask, type EndExplained, type Explained, explain, nameOf } from './explain.js';
export type { Exported, Loss } from './foreign/common.js';
export { withMode } from './mode.js';
export {
  ALL_KINDS,
  API_GROUP,
  API_VERSION,
  BUILTIN_RULES,
  type Direction,
  documentKey,
  KINDS,
  type Kind,
  type Mode,
  type NamedPort,
  type Network,
  type Observation,
  type Observed,
  observationKey,
  type Policy,
  type PolicyContainer,
  type Problem,
  policyKey,
  type Selection,
} from './model.js';
export { isDomainName, nameMatches } from './names.js';
export { addressBits, addressBytes, addressText, parseNetwork, prefixMask } from './network.js';
export { type Parsed, parseDocuments, parseObject, type Source } from './parse.js';
export { MOST_NAMES } from './schema_peers.js';
export { labelsMatch, observedOf, selects } from './select.js';
export {
  canBePeer,
  NO_OPTIONS,
  type PolicyOptions,
  type Service,
  type World,
  type WorldContainer,
  type WorldNode,
} from './world.js';
