// SPDX-License-Identifier: Apache-2.0
//
// Between the writer thread, which stands still at it, and the thread that takes a snapshot meanwhile.
import { CellwallError } from '../../errors.js';

const STATE = { waiting: 0, held: 1, released: 2, givenUp: 3 } as const;
/** The writer goes on after this, and the backup fails: opening some files takes milliseconds. */
const LONGEST_HOLD_MS = 5000;
/** For a commit that is under way. */
const LONGEST_WAIT_MS = 30_000;

/** Crosses threads. */
export type Gate = SharedArrayBuffer;

export const makeGate = (): Gate => new SharedArrayBuffer(4);

/** By the writer, between two commits. */
export function holdAt(gate: Gate): void {
  const state = new Int32Array(gate);
  Atomics.store(state, 0, STATE.held);
  Atomics.notify(state, 0);
  Atomics.wait(state, 0, STATE.held, LONGEST_HOLD_MS);
  Atomics.compareExchange(state, 0, STATE.held, STATE.givenUp);
}

export function whileHeldAt<T>(gate: Gate, take: () => T): T {
  const state = new Int32Array(gate);
  Atomics.wait(state, 0, STATE.waiting, LONGEST_WAIT_MS);
  const taken = take();
  const before = Atomics.compareExchange(state, 0, STATE.held, STATE.released);
  Atomics.notify(state, 0);
  if (before !== STATE.held)
    throw new CellwallError(
      'store_unavailable',
      'the writer could not wait for the snapshot: the disk is too slow now; try later',
    );
  return taken;
}
