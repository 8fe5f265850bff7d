// SPDX-License-Identifier: Apache-2.0
import { RefusedByApi } from './api.js';

/** What a failed write says of the writes to come. */
export interface WriteFailure {
  /** Equal where it is the same trouble, whichever object shows it. */
  readonly kind: string;
  /** Others would most likely fail as well. */
  readonly ofAll: boolean;
  /** This object would most likely fail again. */
  readonly ofObject: boolean;
  /** How long the API server wants to be left alone. */
  readonly retryAfterMs: number | undefined;
}

const UNAUTHORIZED = 401;
const FORBIDDEN = 403;
const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const OF_ALL = new Set([UNAUTHORIZED, FORBIDDEN, TOO_MANY_REQUESTS, UNAVAILABLE]);

export const isForbidden = (error: unknown) => error instanceof RefusedByApi && error.status === FORBIDDEN;

export function failureOf(error: Error): WriteFailure {
  // No connection, no answer in time.
  if (!(error instanceof RefusedByApi))
    return { kind: error.message, ofAll: true, ofObject: false, retryAfterMs: undefined };
  const { status, retryAfterMs } = error;
  const ofAll = OF_ALL.has(status);
  // A namespace that is being deleted forbids what others allow.
  return { kind: String(status), ofAll, ofObject: !ofAll || status === FORBIDDEN, retryAfterMs };
}
