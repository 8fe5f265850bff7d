// SPDX-License-Identifier: Apache-2.0
//
// Sums by hour of rows that are not digested yet, merged as the rows are written: grouping what was read back takes as long as
// writing the rows did.
import { DIRECTIONS, KIND } from '../flows/record.js';
import type { Half } from '../ingest/decode.js';
import { SEGMENT_ROWS } from './caller_ports.js';
import type { NewRows } from './day_file.js';
import { edgeKind, HOUR_US } from './edge_columns.js';

const EGRESS = DIRECTIONS.indexOf('egress');

/** The columns of the table `edges`, in their order: those of the key, then the sums. */
export interface EdgeSum {
  readonly key: readonly Half[];
  flows: number;
  sent: number;
  received: number;
  firstUs: number;
  lastUs: number;
}

type Segment = Map<string, EdgeSum>;

/** Of a segment, some 4 MiB. One with more is summed up from its rows: it would gain little here. */
const MOST_EDGES = 8192;

export class EdgeSums {
  /** By the last id of the segment. undefined: given up. */
  readonly #segments = new Map<number, Segment | undefined>();
  /** Segments with rows before this one were not followed from their beginning. */
  #firstId: number;

  constructor(nextId: number) {
    this.#firstId = nextId;
  }

  /** Rows of the batch from `skip` on, which become rows from `id` on. */
  add(id: number, batch: NewRows): void {
    const { flows, skip } = batch;
    if (!flows) return;
    const { columns, kinds, endUs, addresses } = flows;
    const texts = addresses.map(({ high, low }) => `${high},${low}`);
    const translations = new Map(flows.translations.map((it) => [it.row, it]));
    const counts = new Map(flows.merged.map((it) => [it.row, it.count]));
    let segment: Segment | undefined;
    let segmentEnd = 0;
    for (let i = skip; i < flows.rows; i++) {
      const row = id + i - skip;
      if (row > segmentEnd) {
        segmentEnd = Math.ceil(row / SEGMENT_ROWS) * SEGMENT_ROWS;
        segment = this.#segment(segmentEnd);
      }
      if (!segment) continue;
      const kind = kinds[i] as number;
      const sumKind = edgeKind(kind);
      const isEgress = ((kind >> KIND.direction.shift) & KIND.direction.mask) === EGRESS;
      const translation = isEgress && translations.size > 0 ? translations.get(i) : undefined;
      const remote = columns.remoteAddress[i] as number;
      const port = (isEgress ? columns.remotePort[i] : columns.localPort[i]) as number;
      const end = endUs[i] as number;
      const hour = Math.floor(end / HOUR_US);
      const container = batch.containers[columns.cgroup[i] as number] as number;
      const named = flows.names[i] as number;
      const name = named === 0 ? 0 : (batch.strings[named - 1] as number);
      const rule = columns.rule[i] as number;
      let text = `${hour} ${container} ${sumKind} ${texts[remote]} ${port} ${rule} ${name}`;
      if (translation)
        text += ` ${texts[translation.destination]} ${translation.destinationPort} ${texts[translation.source]}`;
      let sum = segment.get(text);
      if (!sum) {
        const ends: Half[] = translation
          ? [
              addresses[translation.destination]?.high ?? 0,
              addresses[translation.destination]?.low ?? 0,
              translation.destinationPort,
              addresses[translation.source]?.high ?? 0,
              addresses[translation.source]?.low ?? 0,
            ]
          : [0, 0, 0, 0, 0];
        const peer = addresses[remote];
        const key = [hour, container, sumKind, peer?.high ?? 0, peer?.low ?? 0, port, ...ends, rule, name];
        sum = { key, flows: 0, sent: 0, received: 0, firstUs: end, lastUs: end };
        segment.set(text, sum);
        if (segment.size > MOST_EDGES) {
          segment = undefined;
          this.#segments.set(segmentEnd, undefined);
        }
      }
      sum.flows += (counts.size > 0 ? counts.get(i) : undefined) ?? 1;
      // Plus one, 0 for unknown.
      sum.sent += Math.max((columns.sentBytesPlusOne[i] as number) - 1, 0);
      sum.received += Math.max((columns.receivedBytesPlusOne[i] as number) - 1, 0);
      if (end < sum.firstUs) sum.firstUs = end;
      if (end > sum.lastUs) sum.lastUs = end;
    }
  }

  #segment(last: number): Segment | undefined {
    if (last - SEGMENT_ROWS + 1 < this.#firstId) return undefined;
    if (this.#segments.has(last)) return this.#segments.get(last);
    const segment: Segment = new Map();
    this.#segments.set(last, segment);
    return segment;
  }

  /** Those of a segment, once; undefined: it was not followed from its beginning. */
  take(last: number): Iterable<EdgeSum> | undefined {
    const segment = this.#segments.get(last);
    this.#segments.delete(last);
    return segment?.values();
  }

  /** What was added since is not there after all: segments that hold some of it are summed up from their rows. */
  undo(nextId: number): void {
    this.#segments.clear();
    this.#firstId = nextId;
  }
}
