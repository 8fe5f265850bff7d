// SPDX-License-Identifier: Apache-2.0
//
// Who asks: tokens of ours, the token file of machines, the one-time token of the first login, and Kubernetes.
import type { Logger } from '../logger.js';
import type { Store } from '../store/store.js';
import { addressKey, Buckets } from './buckets.js';
import { type Caller, NOBODY } from './caller.js';
import { Denials } from './denials.js';
import type { KubernetesIdentity } from './kubernetes.js';
import { TokenBook } from './token_book.js';
import { hashSecret, isOnce, type MintedToken, mintOnceToken, readToken, sameHash } from './token_text.js';

/** Of the one-time token. */
export const ONCE_HOURS = 1;
/** Of the token that it is exchanged for. */
export const LOGIN_DAYS = 90;
/** Wrong tokens of one address: so many at once, and one more in so many seconds. */
const FAILURES = { burst: 20, everySeconds: 3 };
/** Addresses that are kept in mind; above it the least recent ones are forgotten. */
const MOST_ADDRESSES = 10_000;

export interface Refused {
  /** For the audit log: one of few words. */
  readonly reason: string;
  readonly actor: string;
}

export interface AccessOptions {
  readonly fileToken: string | undefined;
  readonly kubernetes: KubernetesIdentity | undefined;
}

export class Access {
  readonly tokens: TokenBook;
  readonly denials: Denials;
  readonly #options: AccessOptions;
  readonly #fileHash: string | undefined;
  readonly #failures = new Buckets(1 / FAILURES.everySeconds, FAILURES.burst, MOST_ADDRESSES);
  #once: { readonly hash: string; readonly untilUs: number } | undefined;

  constructor(store: Store, options: AccessOptions, log: Logger) {
    this.tokens = new TokenBook(store);
    this.#options = options;
    this.#fileHash = options.fileToken === undefined ? undefined : hashSecret(options.fileToken);
    this.denials = new Denials(
      (...entry) => store.writer.call('audit', ...entry),
      (error) => log.error({ err: error }, 'a denial of access could not be put into the audit log'),
    );
  }

  /** Once, at the start. Returns the one-time token if nobody could come in without it. */
  async load(nowUs: number): Promise<MintedToken | null> {
    await this.tokens.load();
    const { fileToken, kubernetes } = this.#options;
    if (fileToken !== undefined || kubernetes || this.tokens.hasAdmin(nowUs)) return null;
    const minted = mintOnceToken();
    this.#once = { hash: minted.hash, untilUs: nowUs + ONCE_HOURS * 3600e6 };
    return minted;
  }

  /** The token of a request to who it is. Throws when Kubernetes has to be asked and is away. */
  async identify(text: string | undefined, address: string, nowUs: number): Promise<Caller | Refused> {
    if (text === undefined) return { reason: 'no token', actor: NOBODY };
    if (this.#fileHash !== undefined && sameHash(hashSecret(text), this.#fileHash)) {
      const kind = 'token-file';
      return { actor: kind, name: kind, role: 'admin', kind, tokenId: null, expiresUs: null, address };
    }
    const token = readToken(text);
    if (token && isOnce(token)) return { reason: 'one-time token', actor: NOBODY };
    if (token) {
      const found = this.tokens.check(token, address, nowUs);
      return 'reason' in found ? { reason: found.reason, actor: found.actor ?? NOBODY } : found;
    }
    const { kubernetes } = this.#options;
    // What was refused too often is not passed on.
    if (!kubernetes || this.waitOf(address) > 0) return { reason: 'unknown token', actor: NOBODY };
    return kubernetes.identify(text, address);
  }

  /** Whether who came in is still welcome: for what goes on for long. Of Kubernetes that is not asked again. */
  holds({ tokenId }: Caller, nowUs: number): boolean {
    return tokenId === null || this.tokens.isValid(tokenId, nowUs);
  }

  /** Seconds until another wrong token of this address is looked at. */
  waitOf(address: string): number {
    return this.#failures.wait(addressKey(address));
  }

  /** Counts a wrong token: 0, or the seconds that its sender has to wait. */
  failed(address: string): number {
    return this.#failures.take(addressKey(address));
  }

  /** Spends the one-time token; null: it is not that, or it is over. */
  async login(text: string, name: string, address: string, nowUs: number) {
    const once = this.#once;
    const token = readToken(text);
    if (!once || !token || !isOnce(token) || !sameHash(hashSecret(token.secret), once.hash)) return null;
    this.#once = undefined;
    if (nowUs > once.untilUs) return null;
    try {
      const by = { actor: NOBODY, address, action: 'login' };
      return await this.tokens.create({ name, role: 'admin', expiresUs: nowUs + LOGIN_DAYS * 86_400e6 }, by, nowUs);
    } catch (error) {
      this.#once = once;
      throw error;
    }
  }

  close(): void {
    this.denials.close();
  }
}
