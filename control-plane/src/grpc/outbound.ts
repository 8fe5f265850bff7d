// SPDX-License-Identifier: Apache-2.0
//
// What a stream is sent. An agent that does not read keeps it in our memory, so there is an end to that.
import type { types } from '../ingest/wire.js';
import type { AgentCall } from './agents.js';

type Response = types.cellwall.v1.StreamResponse.$Properties;

/** Messages that wait: a window of acknowledgements and as many questions as may be open are a fraction of it. */
export const MOST_UNREAD = 1000;
/** For the oldest of them. Agents end a stream after half of that by themselves. */
export const UNREAD_MS = 30_000;

export class Outbound {
  readonly #call: AgentCall;
  /** When each of those that wait was written. */
  readonly #waiting: number[] = [];
  #pushing = false;
  #missed = false;

  constructor(call: AgentCall) {
    this.#call = call;
  }

  send(message: Response, taken: () => void = () => {}): void {
    this.#waiting.push(Date.now());
    this.#call.write(message, () => {
      this.#waiting.shift();
      taken();
    });
  }

  /** Of rule sets one is under way: what changes meanwhile comes with the next one. next: undefined when nothing lacks. */
  push(next: () => Response | undefined): void {
    if (this.#pushing) {
      this.#missed = true;
      return;
    }
    const message = next();
    if (!message) return;
    this.#pushing = true;
    this.send(message, () => {
      this.#pushing = false;
      if (!this.#missed) return;
      this.#missed = false;
      this.push(next);
    });
  }

  /** Why it cannot go on; undefined: it can. */
  get trouble(): string | undefined {
    if (this.#waiting.length > MOST_UNREAD) return `the agent does not read: ${MOST_UNREAD} messages wait for it`;
    const [oldest] = this.#waiting;
    if (oldest !== undefined && Date.now() - oldest > UNREAD_MS)
      return `the agent has not read for ${UNREAD_MS / 1000} s`;
    return undefined;
  }

  /** A status would wait behind everything else: the stream is reset, so that its memory comes back. */
  reset(): void {
    const { call } = this.#call as unknown as { call?: { stream?: { close?: (code: number) => void } } };
    call?.stream?.close?.(RST_ENHANCE_YOUR_CALM);
  }
}

/** ENHANCE_YOUR_CALM of RFC 9113. */
const RST_ENHANCE_YOUR_CALM = 11;
