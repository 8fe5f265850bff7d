// SPDX-License-Identifier: Apache-2.0
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
export { type Coverage, writeLearned } from './write.js';
