// SPDX-License-Identifier: Apache-2.0
//
// What an edge is: what flows have in common that are summed up together.
import { ENDS, KIND } from '../flows/record.js';

export const HOUR_US = 3600e6;

/** Parts of `kind` that edges keep apart: all but flags, how it ended, and why it failed. */
const EDGE_KIND = 0x3f800fff;
const END = { shift: KIND.end.shift, mask: KIND.end.mask, failed: ENDS.indexOf('failed') };
const FAILED = END.failed << END.shift;

/** Of how it ended only this is kept, whether it failed: nobody can learn from a call that nobody answered. */
export const edgeKind = (kind: number): number =>
  (kind & EDGE_KIND) | (((kind >> END.shift) & END.mask) === END.failed ? FAILED : 0);
const EDGE_KIND_SQL = `(f.kind & ${EDGE_KIND} | (f.kind >> ${END.shift} & ${END.mask} = ${END.failed}) * ${FAILED})`;

/** Columns of edges that name one, of a flow `f` with its translation `t`: the port is the server's, as it was asked for. */
export const EDGE_KEYS = `f.end_us / ${HOUR_US} AS hour, f.container, ${EDGE_KIND_SQL} AS kind, f.remote_high AS peer_high, f.remote_low AS peer_low,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN f.remote_port ELSE f.local_port END AS port,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_high, 0) ELSE 0 END AS backend_high,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_low, 0) ELSE 0 END AS backend_low,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.destination_port, 0) ELSE 0 END AS backend_port,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.source_high, 0) ELSE 0 END AS outside_high,
  CASE WHEN (f.kind >> 8) & 3 = 1 THEN coalesce(t.source_low, 0) ELSE 0 END AS outside_low, f.rule, f.name`;
export const EDGE_GROUP = 'GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13';
/** `sent` and `received` of rows are plus one, 0 for unknown. */
export const EDGE_SUMS = `sum(coalesce(m.count, 1)) AS flows, sum(max(f.sent - 1, 0)) AS sent, sum(max(f.received - 1, 0)) AS received,
  min(f.end_us) AS first_us, max(f.end_us) AS last_us`;
/** What these are of, in a file that is attached by a name. */
export const edgeFlows = (schema = 'main'): string =>
  `${schema}.flows f LEFT JOIN ${schema}.translations t ON t.id = f.id LEFT JOIN ${schema}.counts m ON m.id = f.id`;
/** Behind an INSERT INTO edges. */
export const MERGE_EDGES = `ON CONFLICT DO UPDATE SET flows = flows + excluded.flows, sent = sent + excluded.sent,
  received = received + excluded.received, first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us)`;
