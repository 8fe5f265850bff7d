// SPDX-License-Identifier: Apache-2.0
//
// Token buckets by key. The least recently used key goes when there are too many: it begins anew with a full bucket.

interface Bucket {
  left: number;
  atMs: number;
}

export class Buckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #most: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perSecond: number, burst: number, most: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#most = most;
  }

  #bucket(key: string, nowMs: number): Bucket {
    const known = this.#buckets.get(key);
    const bucket = known ?? { left: this.#burst, atMs: nowMs };
    bucket.left = Math.min(this.#burst, bucket.left + ((nowMs - bucket.atMs) / 1000) * this.#perSecond);
    bucket.atMs = nowMs;
    // The order of a Map is that of insertion: the first key is the one that was used least recently.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#most) {
      const oldest = this.#buckets.keys().next();
      if (!oldest.done) this.#buckets.delete(oldest.value);
    }
    return bucket;
  }

  /** 0: taken. Else the seconds until there is something to take. */
  take(key: string, nowMs = performance.now()): number {
    const bucket = this.#bucket(key, nowMs);
    if (bucket.left < 1) return Math.max(1, Math.ceil((1 - bucket.left) / this.#perSecond));
    bucket.left--;
    return 0;
  }

  /** As take, without taking. */
  wait(key: string, nowMs = performance.now()): number {
    const { left } = this.#bucket(key, nowMs);
    return left >= 1 ? 0 : Math.max(1, Math.ceil((1 - left) / this.#perSecond));
  }

  get size(): number {
    return this.#buckets.size;
  }
}

/** One who has an IPv6 network can come from 2^64 addresses of it. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length;
  const all = [...groups, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...rest];
  return `${all.slice(0, 4).join(':')}::/64`;
}
