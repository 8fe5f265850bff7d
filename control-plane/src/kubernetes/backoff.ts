// SPDX-License-Identifier: Apache-2.0

export interface BackoffTimes {
  readonly firstMs: number;
  readonly longestMs: number;
}

export const BACKOFF: BackoffTimes = { firstMs: 500, longestMs: 30_000 };

/** Doubles, and is random in its upper half, so that those who were cut off together do not come back together. */
export class Backoff {
  readonly #times: BackoffTimes;
  #failures = 0;

  constructor(times: BackoffTimes) {
    this.#times = times;
  }

  reset(): void {
    this.#failures = 0;
  }

  nextMs(random = Math.random()): number {
    const whole = Math.min(this.#times.longestMs, this.#times.firstMs * 2 ** Math.min(this.#failures++, 20));
    return whole / 2 + (random * whole) / 2;
  }
}

/** Resolves early when the signal is aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
