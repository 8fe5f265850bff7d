// SPDX-License-Identifier: Apache-2.0
import { CellwallError } from '../errors.js';

export function bad(message: string): never {
  throw new CellwallError('invalid_batch', `malformed batch: ${message}`);
}

/** A 64-bit integer that a number holds. */
export function safe(value: number, what: string): number {
  if (!Number.isSafeInteger(value)) bad(`${what} is beyond 2^53`);
  return value;
}
