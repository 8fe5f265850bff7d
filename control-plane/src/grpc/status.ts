// SPDX-License-Identifier: Apache-2.0
//
// Errors as callers get them. What they have sent may be quoted in there: the library ends the process over half a character,
// and a client ends the connection over headers that are too large.
import { ERRORS, toPlain } from '../errors.js';

const LONGEST_DETAILS = 1000;

export function detailsOf(text: string): string {
  return text.slice(0, LONGEST_DETAILS).replace(/\p{Surrogate}/gu, '\ufffd');
}

export function statusOf(error: unknown): { code: number; details: string } {
  const { code, message } = toPlain(error);
  return { code: ERRORS[code].grpc, details: detailsOf(message) };
}
