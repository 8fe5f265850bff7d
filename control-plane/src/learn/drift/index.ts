// SPDX-License-Identifier: Apache-2.0
export { drift } from './drift.js';
export type {
  Drift,
  DriftEdge,
  DriftHistory,
  EmptyPolicy,
  Lived,
  MovedPeer,
  NewFlow,
  Patch,
  Release,
  RuleRecord,
  StandingDocument,
  UnusedRule,
} from './model.js';
