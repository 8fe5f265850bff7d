// SPDX-License-Identifier: Apache-2.0
//
// Tokens as text: cellwall_ID_SECRET, which scanners for secrets find with /cellwall_(once|[0-9a-f]{12})_[0-9a-f]{64}/.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const ONCE = 'once';

export interface TokenText {
  /** "once": for the first login. */
  readonly id: string;
  readonly secret: string;
}

/**
 * One round of SHA-256 is enough here, unlike for passwords: a secret of 256 random bits cannot be guessed, however fast a guess
 * can be checked.
 */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

const textOf = (id: string, secret: string): string => `cellwall_${id}_${secret}`;

export interface MintedToken {
  readonly id: string;
  readonly hash: string;
  /** To be shown once. */
  readonly text: string;
}

export function mintToken(id = randomBytes(6).toString('hex')): MintedToken {
  const secret = randomBytes(32).toString('hex');
  return { id, hash: hashSecret(secret), text: textOf(id, secret) };
}

export const mintOnceToken = (): MintedToken => mintToken(ONCE);

/** undefined: it is none of ours. */
export function readToken(text: string): TokenText | undefined {
  const [, id, secret] = /^cellwall_(once|[0-9a-f]{12})_([0-9a-f]{64})$/.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

export const isOnce = ({ id }: TokenText): boolean => id === ONCE;

/** Takes as long whatever differs. */
export function sameHash(given: string, wanted: string): boolean {
  const [one, other] = [Buffer.from(given, 'hex'), Buffer.from(wanted, 'hex')];
  return one.length === other.length && timingSafeEqual(one, other);
}
