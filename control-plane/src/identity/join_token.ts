// SPDX-License-Identifier: Apache-2.0
//
// cellwall-join.ID.SECRET.HASH: which token, what proves it, and by which key the agent knows the server.
import { createHash, randomBytes } from 'node:crypto';

const FORM = /^cellwall-join\.([a-z0-9]{10})\.([A-Za-z0-9_-]{43})\.([0-9a-f]{64})$/;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const ID_LETTERS = 10;
const SECRET_BYTES = 32;
/** Bytes from here on would make some letters likelier than others. */
const FAIR = 256 - (256 % LETTERS.length);

export interface JoinToken {
  readonly id: string;
  readonly secret: string;
  readonly keyHash: string;
}

export function makeJoinToken(keyHash: string): JoinToken {
  let id = '';
  while (id.length < ID_LETTERS) {
    const byte = randomBytes(1)[0] as number;
    if (byte < FAIR) id += LETTERS[byte % LETTERS.length];
  }
  return { id, secret: randomBytes(SECRET_BYTES).toString('base64url'), keyHash };
}

export const joinTokenText = ({ id, secret, keyHash }: JoinToken): string => `cellwall-join.${id}.${secret}.${keyHash}`;

/** undefined: it is none. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, id, secret, keyHash] = FORM.exec(text.trim()) ?? [];
  return id && secret && keyHash ? { id, secret, keyHash } : undefined;
}

/** The secret is random: a plain hash cannot be searched for it. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

export const LONGEST_JOIN_S = 30 * 86_400;

export type JoinTokenState = 'open' | 'used' | 'expired' | 'revoked';

export function stateOfToken(
  token: { readonly expiresUs: number; readonly usedUs: number | null; readonly revokedUs: number | null },
  nowUs: number,
): JoinTokenState {
  if (token.revokedUs !== null) return 'revoked';
  if (token.usedUs !== null) return 'used';
  return token.expiresUs <= nowUs ? 'expired' : 'open';
}
