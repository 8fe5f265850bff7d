// SPDX-License-Identifier: Apache-2.0
//
// The columns of `-o csv`, typed.
import type { SchemaElement } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import type { Flow } from '../../flows/record.js';
import { VERSION } from '../../version.js';
import { FLOW_CSV_HEAD, flowCsv } from '../flow_listing.js';
import type { Sink } from './sinks.js';

/** Rows that are in memory, some 50 MiB. */
const ROWS_PER_GROUP = 50_000;
const TIMES: ReadonlySet<string> = new Set(['start', 'end']);
/** 64 bits each: bytes and times go beyond 2^32, and one type is easier to work with. */
const NUMBERS: ReadonlySet<string> = new Set([
  'local_port',
  'destination_port',
  'sent_bytes',
  'received_bytes',
  'duration_us',
  'rtt_us',
  'retransmits',
  'process_id',
  'translated_source_port',
  'translated_destination_port',
  'count',
]);

function elementOf(name: string): SchemaElement {
  const column = { name, repetition_type: 'OPTIONAL' } as const;
  if (TIMES.has(name))
    return {
      ...column,
      type: 'INT64',
      converted_type: 'TIMESTAMP_MICROS',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
    };
  if (NUMBERS.has(name)) return { ...column, type: 'INT64' };
  return { ...column, type: 'BYTE_ARRAY', converted_type: 'UTF8' };
}

/** "2026-01-02T03:04:05.678901Z" in microseconds. */
function microseconds(text: string): bigint {
  return BigInt(Date.parse(`${text.slice(0, 23)}Z`)) * 1000n + BigInt(text.slice(23, 26));
}

function typedValue(name: string, value: string | number | null): string | bigint | null {
  if (value === null) return null;
  if (TIMES.has(name)) return microseconds(String(value));
  return typeof value === 'number' ? BigInt(value) : value;
}

export class ParquetSink implements Sink {
  readonly #writer: ParquetWriter;
  #columns: (string | bigint | null)[][] = FLOW_CSV_HEAD.map(() => []);

  constructor(file: string) {
    this.#writer = new ParquetWriter({
      writer: fileWriter(file),
      schema: [{ name: 'flow', num_children: FLOW_CSV_HEAD.length }, ...FLOW_CSV_HEAD.map(elementOf)],
      createdBy: `cellwall ${VERSION}`,
    });
  }

  async add(flows: readonly Flow[]): Promise<void> {
    for (const flow of flows)
      flowCsv(flow).forEach((value, index) => {
        this.#columns[index]?.push(typedValue(FLOW_CSV_HEAD[index] ?? '', value));
      });
    if ((this.#columns[0]?.length ?? 0) >= ROWS_PER_GROUP) await this.#writeGroup();
  }

  async #writeGroup(): Promise<void> {
    const columnData = FLOW_CSV_HEAD.map((name, index) => ({ name, data: this.#columns[index] ?? [] }));
    await this.#writer.write({ columnData, rowGroupSize: ROWS_PER_GROUP * 2 });
    this.#columns = FLOW_CSV_HEAD.map(() => []);
  }

  async finish(): Promise<void> {
    if ((this.#columns[0]?.length ?? 0) > 0) await this.#writeGroup();
    await this.#writer.finish();
  }
}
