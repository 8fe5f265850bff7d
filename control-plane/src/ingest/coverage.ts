// SPDX-License-Identifier: Apache-2.0
//
// Which events a batch stands for: as many as it has rows, unless its agent had no room for all of them.
import { bad, safe } from './safe.js';
import type { types } from './wire.js';

export interface DecodedMerge {
  readonly row: number;
  readonly count: number;
}

export interface DecodedDrop {
  readonly reason: number;
  readonly count: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

export interface Coverage {
  /** null: one for each row, in their order. */
  readonly events: number | null;
  readonly dropped: readonly DecodedDrop[];
}

const MOST_EVENTS = 1 << 24;

export function coverageOf(
  batch: types.cellwall.v1.FlowBatch,
  rows: number,
  merged: readonly DecodedMerge[],
): Coverage {
  const dropped = batch.dropped.map((it) => ({
    reason: it.reason ?? 0,
    count: it.count ?? 0,
    firstUs: safe((it.firstUs ?? 0) as number, 'first_us'),
    lastUs: safe((it.lastUs ?? 0) as number, 'last_us'),
  }));
  if (batch.events === 0) {
    if (merged.length > 0 || dropped.length > 0) bad('rows were merged or dropped, and events is missing');
    return { events: null, dropped };
  }
  const inRows = merged.reduce((sum, { count }) => sum + count, rows - merged.length);
  const counted = dropped.reduce((sum, { count }) => sum + count, inRows);
  if (batch.events > MOST_EVENTS || counted !== batch.events)
    bad(`it covers ${batch.events} events and counts ${counted}`);
  return { events: batch.events, dropped };
}
