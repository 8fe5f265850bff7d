// SPDX-License-Identifier: Apache-2.0
//
// What the npm package gives to programs: policies read, asked and tried, without a server and without input or output.
export type { Change, Effect, EffectInput, EffectLine, Example } from '../flows/effect.js';
export { Recording, RecordingError } from '../flows/recording.js';
export { simulate } from '../flows/simulate.js';
export { type WhatIf, whatIf } from '../flows/what_if.js';
export type { Resident, WorldRecord } from '../flows/world_record.js';
export {
  type Apart,
  type Coverage,
  type CoverageInput,
  coverageOf,
  type Learned,
  type LearnedPolicy,
  type LearnInput,
  type LearnOptions,
  learn,
  type Place,
  type Seen,
  USUAL_OPTIONS,
  writeLearned,
} from '../learn/index.js';
export {
  type Connection,
  type Direction,
  type Evaluation,
  Evaluator,
  evaluate,
  type Network,
  NO_OPTIONS,
  type Parsed,
  type Policy,
  type PolicyOptions,
  type Problem,
  parseDocuments,
  parseNetwork,
  policyKey,
  type Service,
  selects,
  type Verdict,
  type World,
  type WorldContainer,
  type WorldNode,
  withMode,
} from '../policy/index.js';
