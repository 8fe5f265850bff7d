// SPDX-License-Identifier: Apache-2.0
export type { Conflict } from './conflicts.js';
export { type Coverage, type CoverageInput, coverageOf, type Lost } from './coverage.js';
export * from './drift/index.js';
export { type History, type LearnedAnswer, type LearnedSummary, learnFrom } from './history.js';
export {
  type Apart,
  type Learned,
  type LearnedPolicy,
  type LearnInput,
  type LearnOptions,
  learn,
  USUAL_OPTIONS,
} from './learn.js';
export { type Place, type Seen, toSeen } from './seen.js';
export { writeLearned } from './write.js';
