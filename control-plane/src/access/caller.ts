// SPDX-License-Identifier: Apache-2.0
import type { Role } from './roles.js';

/** Somebody who has shown who it is. */
export interface Caller {
  /** As the audit log names it: "token:NAME:ID", "token-file", "kubernetes:USER". Also what limits count by. */
  readonly actor: string;
  readonly name: string;
  readonly role: Role;
  readonly kind: 'token' | 'token-file' | 'kubernetes';
  /** Of a token of ours. */
  readonly tokenId: string | null;
  readonly expiresUs: number | null;
  /** Where the request came from. */
  readonly address: string;
}

/** Who has shown nothing, or nothing that holds. */
export const NOBODY = 'nobody';
/** The server itself. */
export const SERVER = 'server';
