// SPDX-License-Identifier: Apache-2.0
//
// Tokens in memory, as the store has them: no request waits for the disk to know who asks.
import { CellwallError } from '../errors.js';
import type { Store } from '../store/store.js';
import type { StoredToken } from '../store/tokens.js';
import type { Caller } from './caller.js';
import { ROLES, type Role } from './roles.js';
import { hashSecret, mintToken, sameHash, type TokenText } from './token_text.js';

/** That are good for something. More are refused. */
const MOST_TOKENS = 1000;
const USED_EVERY_US = 60e6;

export type TokenState = 'valid' | 'expired' | 'revoked';

export function stateOf({ revokedUs, expiresUs }: StoredToken, nowUs: number): TokenState {
  if (revokedUs !== null) return 'revoked';
  return expiresUs !== null && expiresUs <= nowUs ? 'expired' : 'valid';
}

export const actorOf = ({ name, id }: { name: string; id: string }): string => `token:${name}:${id}`;

export interface NewTokenFacts {
  readonly name: string;
  readonly role: Role;
  readonly expiresUs: number | null;
}

/** Who makes or revokes a token, and how the audit log calls that. */
export interface Doing {
  readonly actor: string;
  readonly address: string;
  readonly action: string;
}

export class TokenBook {
  readonly #store: Store;
  #tokens = new Map<string, StoredToken>();

  constructor(store: Store) {
    this.#store = store;
  }

  async load(): Promise<void> {
    const tokens = await this.#store.writer.call('tokens');
    this.#tokens = new Map(tokens.map((it) => [it.id, it]));
  }

  all(): StoredToken[] {
    return [...this.#tokens.values()];
  }

  hasAdmin(nowUs: number): boolean {
    return this.all().some((it) => it.role === 'admin' && stateOf(it, nowUs) === 'valid');
  }

  isValid(id: string, nowUs: number): boolean {
    const token = this.#tokens.get(id);
    return token !== undefined && stateOf(token, nowUs) === 'valid';
  }

  /** A text says why not. `actor`: it was this one's, once. */
  check({ id, secret }: TokenText, address: string, nowUs: number): Caller | { reason: string; actor: string | null } {
    const token = this.#tokens.get(id);
    if (!token || !sameHash(hashSecret(secret), token.hash)) return { reason: 'unknown token', actor: null };
    const state = stateOf(token, nowUs);
    if (state !== 'valid') return { reason: `${state} token`, actor: actorOf(token) };
    this.#used(token, nowUs);
    const role = ROLES.find((it) => it === token.role) ?? 'view';
    const { name, expiresUs } = token;
    return { actor: actorOf(token), name, role, kind: 'token', tokenId: id, expiresUs, address };
  }

  #used(token: StoredToken, nowUs: number): void {
    if (token.lastUsedUs !== null && nowUs - token.lastUsedUs < USED_EVERY_US) return;
    this.#tokens.set(token.id, { ...token, lastUsedUs: nowUs });
    this.#store.writer.call('tokenUsed', token.id).catch(() => {});
  }

  /** The text is shown to who asked, and to nobody again. */
  async create({ name, role, expiresUs }: NewTokenFacts, by: Doing, nowUs: number) {
    const valid = this.all().filter((it) => stateOf(it, nowUs) === 'valid');
    if (valid.length >= MOST_TOKENS)
      throw new CellwallError('too_many_requests', `there are ${MOST_TOKENS} tokens already; revoke some`);
    if (valid.some((it) => it.name === name))
      throw new CellwallError('conflict', `there is a token ${name} already; revoke it, or choose another name`);
    const { id, hash, text } = mintToken();
    const createdBy = by.actor;
    const details = { address: by.address, name, role, expiresUs };
    const token = { id, name, role, hash, createdBy, expiresUs };
    // Taken before the store has it, so that two requests cannot have one name.
    const stored = { ...token, createdUs: nowUs, lastUsedUs: null, revokedUs: null };
    this.#tokens.set(id, stored);
    try {
      await this.#store.writer.call('createToken', token, {
        actor: createdBy,
        action: by.action,
        subject: actorOf({ name, id }),
        details,
      });
    } catch (error) {
      this.#tokens.delete(id);
      throw error;
    }
    return { ...stored, text };
  }

  /** By its id, or by the name of one that is valid. */
  find(idOrName: string, nowUs: number): StoredToken {
    const found =
      this.#tokens.get(idOrName) ?? this.all().find((it) => it.name === idOrName && stateOf(it, nowUs) === 'valid');
    if (!found) throw new CellwallError('not_found', `there is no token ${idOrName}; 'cellwall token list' lists them`);
    return found;
  }

  async revoke(token: StoredToken, by: Doing, nowUs: number): Promise<void> {
    if (token.revokedUs !== null) return;
    // At once: it must not be good for anything while the store writes.
    this.#tokens.set(token.id, { ...token, revokedUs: nowUs });
    const { actor, action, address } = by;
    try {
      await this.#store.writer.call('revokeToken', token.id, {
        actor,
        action,
        subject: actorOf(token),
        details: { address },
      });
    } catch (error) {
      this.#tokens.set(token.id, token);
      throw error;
    }
  }
}
