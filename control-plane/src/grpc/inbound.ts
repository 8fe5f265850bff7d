// SPDX-License-Identifier: Apache-2.0
//
// How much of what agents have sent is kept until it is stored: of one stream, and of all together. Who is above that is not
// read on, and TCP makes it wait. A batch of an agent is some 100 KiB, so that its window is a fraction.
import type { AgentCall } from './agents.js';

const MOST_OF_STREAM = 8 << 20;
const MOST_OF_ALL = 512 << 20;

export class Inbound {
  readonly #held = new Map<number, { bytes: number; sizes: number[] }>();
  readonly #paused = new Map<number, AgentCall>();
  #bytes = 0;

  isPaused(stream: number): boolean {
    return this.#paused.has(stream);
  }

  /** Before the first message. */
  opened(call: AgentCall): void {
    // Else the stream reads 16 messages ahead, of 16 MiB.
    const { _readableState: state } = call as unknown as { _readableState?: { highWaterMark: number } };
    if (state) state.highWaterMark = 1;
  }

  take(stream: number, size: number, call: AgentCall): void {
    const held = this.#held.get(stream) ?? { bytes: 0, sizes: [] };
    this.#held.set(stream, held);
    held.bytes += size;
    held.sizes.push(size);
    this.#bytes += size;
    if (held.bytes <= MOST_OF_STREAM && this.#bytes <= MOST_OF_ALL) return;
    call.pause();
    this.#paused.set(stream, call);
  }

  /** The oldest message of the stream is done; also when the stream has ended by then. */
  release(stream: number): void {
    const held = this.#held.get(stream);
    const size = held?.sizes.shift() ?? 0;
    this.#bytes -= size;
    if (held) held.bytes -= size;
    if (held?.sizes.length === 0) this.#held.delete(stream);
    for (const [number, call] of this.#paused) {
      if ((this.#held.get(number)?.bytes ?? 0) > MOST_OF_STREAM || this.#bytes > MOST_OF_ALL) continue;
      this.#paused.delete(number);
      call.resume();
    }
  }

  /** What it has sent counts until it is stored. */
  ended(stream: number): void {
    this.#paused.delete(stream);
  }
}
