// SPDX-License-Identifier: Apache-2.0
//
// What is new of a batch, and what is lost for good, by event indexes alone.
import type { DecodedBatch } from '../ingest/decode.js';
import type { NewLoss } from './day_file.js';

/** LossReason.LOSS_REASON_OVERLAP. */
const OVERLAP = 7;

export interface TakenEvents {
  /** Rows that are stored already, or may not be. */
  readonly skip: number;
  readonly losses: readonly NewLoss[];
  /** The last event that is dealt with, once this is. */
  readonly committed: number;
}

/** before: the last event of the node and epoch that was dealt with. */
export function takeEvents(batch: DecodedBatch, before: number): TakenEvents {
  const rows = batch.ended?.rows ?? 0;
  const first = batch.firstEventIndex;
  if (first === 0) return { skip: rows, losses: [], committed: before };
  const last = first + (batch.events ?? rows) - 1;
  const committed = Math.max(before, last);
  const losses: NewLoss[] = [];
  if (first > before + 1)
    losses.push({
      reason: batch.holeReason,
      firstEvent: before + 1,
      lastEvent: first - 1,
      count: first - 1 - before,
      firstUs: batch.holeFirstUs || null,
      lastUs: batch.holeLastUs || null,
    });
  if (batch.events === null) return { skip: Math.min(Math.max(before + 1 - first, 0), rows), losses, committed };
  if (before >= last) return { skip: rows, losses, committed };
  if (before >= first) {
    // Nobody can tell which of its rows are stored already.
    const count = last - before;
    losses.push({ reason: OVERLAP, firstEvent: before + 1, lastEvent: last, count, firstUs: null, lastUs: null });
    return { skip: rows, losses, committed };
  }
  for (const { reason, count, firstUs, lastUs } of batch.dropped)
    losses.push({
      reason,
      firstEvent: first,
      lastEvent: last,
      count,
      firstUs: firstUs || null,
      lastUs: lastUs || null,
    });
  return { skip: 0, losses, committed };
}
