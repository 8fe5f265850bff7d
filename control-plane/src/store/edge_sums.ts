// SPDX-License-Identifier: Apache-2.0
//
// Sums by hour of rows that are not digested yet, merged as the rows are written: grouping what was read back takes as long as
// writing the rows did.
import { DIRECTIONS, KIND } from '../flows/record.js';
import type { DecodedAddress, DecodedFlows } from '../ingest/decode.js';
import { SEGMENT_ROWS } from './caller_ports.js';
import type { NewRows } from './day_file.js';
import { edgeKind, HOUR_US } from './edge_columns.js';
import { type EdgeSum, KEY_PARTS, SegmentSums } from './segment_sums.js';

const EGRESS = DIRECTIONS.indexOf('egress');

export class EdgeSums {
  /** By the last id of the segment. undefined: given up. */
  readonly #segments = new Map<number, SegmentSums | undefined>();
  /** Segments with rows before this one were not followed from their beginning. */
  #firstId: number;
  readonly #key = new Float64Array(KEY_PARTS);

  constructor(nextId: number) {
    this.#firstId = nextId;
  }

  /** Rows of the batch from `skip` on, which become rows from `id` on. */
  add(id: number, batch: NewRows): void {
    const { flows, skip } = batch;
    if (!flows) return;
    for (let first = skip; first < flows.rows; ) {
      const last = Math.ceil((id + first - skip) / SEGMENT_ROWS) * SEGMENT_ROWS;
      const end = Math.min(flows.rows, last - id + skip + 1);
      const segment = this.#segment(last);
      if (segment && !this.#addTo(segment, batch, flows, first, end)) this.#segments.set(last, undefined);
      first = end;
    }
  }

  /** False: the segment has too many edges. */
  #addTo(segment: SegmentSums, batch: NewRows, flows: DecodedFlows, first: number, end: number): boolean {
    const { columns, kinds, endUs } = flows;
    // Of those that rows have: what else a message brings does not stay.
    const numbers = new Int32Array(flows.addresses.length);
    const numberOf = (address: number): number => {
      if (numbers[address] === 0) numbers[address] = segment.numberOf(flows.addresses[address] as DecodedAddress);
      return numbers[address] as number;
    };
    const translations = new Map(flows.translations.map((it) => [it.row, it]));
    const counts = new Map(flows.merged.map((it) => [it.row, it.count]));
    const key = this.#key;
    for (let i = first; i < end; i++) {
      const kind = kinds[i] as number;
      const isEgress = ((kind >> KIND.direction.shift) & KIND.direction.mask) === EGRESS;
      const translation = isEgress && translations.size > 0 ? translations.get(i) : undefined;
      const named = flows.names[i] as number;
      const time = endUs[i] as number;
      key[0] = Math.floor(time / HOUR_US);
      key[1] = batch.containers[columns.cgroup[i] as number] as number;
      key[2] = edgeKind(kind);
      key[3] = numberOf(columns.remoteAddress[i] as number);
      key[4] = (isEgress ? columns.remotePort[i] : columns.localPort[i]) as number;
      key[5] = translation ? numberOf(translation.destination) : 0;
      key[6] = translation ? translation.destinationPort : 0;
      key[7] = translation ? numberOf(translation.source) : 0;
      key[8] = columns.rule[i] as number;
      key[9] = named === 0 ? 0 : (batch.strings[named - 1] as number);
      const count = (counts.size > 0 ? counts.get(i) : undefined) ?? 1;
      // Plus one, 0 for unknown.
      const sent = Math.max((columns.sentBytesPlusOne[i] as number) - 1, 0);
      const received = Math.max((columns.receivedBytesPlusOne[i] as number) - 1, 0);
      if (!segment.add(key, count, sent, received, time)) return false;
    }
    return true;
  }

  #segment(last: number): SegmentSums | undefined {
    if (last - SEGMENT_ROWS + 1 < this.#firstId) return undefined;
    if (this.#segments.has(last)) return this.#segments.get(last);
    const segment = new SegmentSums();
    this.#segments.set(last, segment);
    return segment;
  }

  /** Those of a segment, once; undefined: it was not followed from its beginning. */
  take(last: number): Iterable<EdgeSum> | undefined {
    const segment = this.#segments.get(last);
    this.#segments.delete(last);
    return segment?.edges();
  }

  /** What was added since is not there after all: segments that hold some of it are summed up from their rows. */
  undo(nextId: number): void {
    this.#segments.clear();
    this.#firstId = nextId;
  }
}
