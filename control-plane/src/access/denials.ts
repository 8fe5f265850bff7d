// SPDX-License-Identifier: Apache-2.0
//
// Denials of access on their way to the audit log. Who knocks a thousand times is written twice a minute: at once, and with the
// count of the others when the minute is over. So nobody can fill the disk.
import type { Details } from '../audit/chain.js';

export interface Denial {
  readonly actor: string;
  readonly address: string;
  /** One of few words: it is part of the key. */
  readonly reason: string;
  /** What was asked for; of the first one. */
  readonly subject: string;
}

type Write = (actor: string, action: string, subject: string, details: Details) => Promise<unknown>;

const MINUTE_MS = 60_000;
/** Kinds of denials in a minute; what goes beyond is counted together. At most twice as many entries a minute. */
const MOST_KINDS = 64;
const OTHERS: Denial = { actor: 'various', address: 'various', reason: 'more kinds of denials', subject: '' };

export class Denials {
  readonly #write: Write;
  readonly #failed: (error: Error) => void;
  readonly #minuteMs: number;
  #kinds = new Map<string, { denial: Denial; more: number }>();
  #timer: NodeJS.Timeout | undefined;
  /** Since the start, each of them. */
  count = 0;

  constructor(write: Write, failed: (error: Error) => void, minuteMs = MINUTE_MS) {
    this.#write = write;
    this.#failed = failed;
    this.#minuteMs = minuteMs;
  }

  add(denial: Denial): void {
    this.count++;
    const key = [denial.actor, denial.address, denial.reason].join('\0');
    const known = this.#kinds.get(key) ?? (this.#kinds.size >= MOST_KINDS ? this.#kinds.get('') : undefined);
    if (known) {
      known.more++;
      return;
    }
    const isNewKind = this.#kinds.size < MOST_KINDS;
    this.#kinds.set(isNewKind ? key : '', { denial: isNewKind ? denial : OTHERS, more: isNewKind ? 0 : 1 });
    if (isNewKind) this.#say(denial, 1);
    this.#timer ??= setTimeout(() => this.#flush(), this.#minuteMs).unref();
  }

  #say({ actor, address, reason, subject }: Denial, count: number): void {
    this.#write(actor, 'access.denied', subject, { address, reason, count }).catch(this.#failed);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const kinds = [...this.#kinds.values()];
    this.#kinds = new Map();
    for (const { denial, more } of kinds) if (more > 0) this.#say(denial, more);
  }

  /** Writes what was counted. */
  close(): void {
    this.#flush();
  }
}
