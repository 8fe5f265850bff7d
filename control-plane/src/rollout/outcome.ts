// SPDX-License-Identifier: Apache-2.0
//
// What comes of changes: for nodes, and for who asked.
import type { NewAuditEntry } from '../audit/chain.js';
import type { CompiledAmendment, CompiledDifference, Selection } from '../policy/index.js';
import type { Decision } from '../store/proposals.js';
import type { Change } from './documents.js';

export interface RuleSetsPayload {
  readonly generation: number;
  /** SHA-256 of payload. */
  readonly digest: Buffer;
  readonly payload: Uint8Array;
}

export type Update =
  | { readonly ruleSets: RuleSetsPayload }
  | { readonly amendment: CompiledAmendment }
  | { readonly difference: CompiledDifference };

export interface Done {
  readonly applied: Change[];
  readonly generation: number;
  /** Which containers each document is about. */
  readonly selections: ReadonlyMap<string, Selection>;
}

/** For the audit log, and of which proposal this is. */
export interface Doing {
  readonly audit: readonly NewAuditEntry[];
  readonly decision?: Decision;
  /** Refused when the policies are of another one by now. */
  readonly generation?: number;
}
