// SPDX-License-Identifier: Apache-2.0
//
// The chain of the audit log: each entry's hash covers its content and the hash before it. Pure, so that an export can be
// proved without a server.
import { createHash } from 'node:crypto';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type Details = { readonly [key: string]: Json | undefined };

export interface NewAuditEntry {
  /** Who did it, as access/caller.ts names callers. */
  readonly actor: string;
  /** "policy.apply", "token.create", "access.denied". */
  readonly action: string;
  /** What it was done to. */
  readonly subject: string;
  readonly details: Details;
}

export interface AuditEntry extends NewAuditEntry {
  /** From 1, without a gap. */
  readonly number: number;
  readonly timeUs: number;
  /** SHA-256, hex. */
  readonly hash: string;
}

/** How far the log has come: what has to be kept elsewhere to notice that its end was cut off. */
export interface Head {
  readonly count: number;
  readonly hash: string;
}

/** Before the first entry. */
export const EMPTY: Head = { count: 0, hash: '0'.repeat(64) };

/** One text for each value: keys sorted, no spaces, no undefined. */
export function canonicalJson(value: Json | undefined): string {
  if (value === undefined) return 'null';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
  return `{${fields.join(',')}}`;
}

export function hashOf(before: string, entry: Omit<AuditEntry, 'hash'>): string {
  const { number, timeUs, actor, action, subject, details } = entry;
  return createHash('sha256')
    .update(Buffer.from(before, 'hex'))
    .update(canonicalJson({ number, timeUs, actor, action, subject, details }))
    .digest('hex');
}

export interface Broken {
  readonly number: number;
  readonly timeUs: number | null;
  readonly what: string;
}

/** Walks a log entry by entry. The first broken link ends it: nothing behind that one proves anything. */
export class ChainCheck {
  #head: Head;
  #broken: Broken | null = null;
  readonly #wanted: Head | undefined;

  /** wanted: a head that was noted earlier. The log has to have come by there. */
  constructor(wanted?: Head, from: Head = EMPTY) {
    this.#head = from;
    this.#wanted = wanted;
  }

  get head(): Head {
    return this.#head;
  }

  /** False: it is broken here, or was before. */
  next(entry: AuditEntry): boolean {
    if (this.#broken) return false;
    const wanted = this.#head.count + 1;
    if (entry.number !== wanted)
      return this.#fail(entry, `it follows number ${this.#head.count}: ${wanted} is missing or out of place`);
    if (hashOf(this.#head.hash, entry) !== entry.hash)
      return this.#fail(entry, 'its hash is not that of its content and of the entry before: one of them was changed');
    this.#head = { count: entry.number, hash: entry.hash };
    const noted = this.#wanted;
    if (noted?.count === entry.number && noted.hash !== entry.hash)
      return this.#fail(entry, `its hash is not ${noted.hash}, which was noted for it: the log was written anew`);
    return true;
  }

  #fail({ number, timeUs }: AuditEntry, what: string): false {
    this.#broken = { number, timeUs, what };
    return false;
  }

  /** Behind the last entry. null: all links hold. */
  end(): Broken | null {
    const noted = this.#wanted;
    if (this.#broken || !noted || this.#head.count >= noted.count) return this.#broken;
    const number = this.#head.count + 1;
    return {
      number,
      timeUs: null,
      what: `the log ends before it, and had ${noted.count} entries: its end was cut off`,
    };
  }
}

/** "COUNT:HASH", as status and log show it. undefined: it is not one. */
export function readHead(text: string): Head | undefined {
  const [, count, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text.trim()) ?? [];
  return count === undefined || hash === undefined ? undefined : { count: Number(count), hash };
}

export const headText = ({ count, hash }: Head): string => `${count}:${hash}`;
