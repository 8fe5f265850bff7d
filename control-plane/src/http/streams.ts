// SPDX-License-Identifier: Apache-2.0
//
// How many streams may be open, and what becomes of one that nobody reads.
import type { Context as HonoContext } from 'hono';
import { CellwallError } from '../errors.js';
import type { Context, Env } from './context.js';

export interface StreamSlot {
  /** Waits for the reader to take what was written; ends the connection when he does not. */
  written(write: Promise<unknown>): Promise<void>;
  close(): void;
}

export class Streams {
  readonly #context: Context;
  readonly #open = new Map<string, number>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** Throws when there are too many, of this caller or in all. */
  open(c: HonoContext<Env>): StreamSlot {
    const { limits, counts, log } = this.#context;
    const { actor } = c.get('caller');
    const own = this.#open.get(actor) ?? 0;
    if (own >= limits.streamsEach || counts.streams >= limits.streams) {
      counts.streamsRefused++;
      const which = own >= limits.streamsEach ? `${own} streams of yours` : `${counts.streams} streams`;
      throw new CellwallError('too_many_requests', `${which} are open already; close one`);
    }
    this.#open.set(actor, own + 1);
    counts.streams++;
    // Streams can be silent for long: their own rule is below.
    c.env.incoming?.socket.setTimeout(0);
    let closed = false;
    return {
      written: async (write) => {
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<'late'>((resolve) => {
          timer = setTimeout(() => resolve('late'), limits.slowReaderMs);
        });
        const first = await Promise.race([write, late]);
        clearTimeout(timer);
        if (first !== 'late') return;
        write.catch(() => {});
        counts.slowReadersDropped++;
        log.warn({ actor }, `a stream of flows is closed: its reader took nothing for ${limits.slowReaderMs} ms`);
        c.env.incoming?.socket.destroy();
        throw new Error('the reader is too slow');
      },
      close: () => {
        if (closed) return;
        closed = true;
        counts.streams--;
        const left = (this.#open.get(actor) ?? 1) - 1;
        if (left > 0) this.#open.set(actor, left);
        else this.#open.delete(actor);
      },
    };
  }
}
