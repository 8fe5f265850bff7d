// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { unpackKind } from '../flows/record.js';
import { batchOf, columnsOf, plainFlows, type SampleFlow } from '../testing/batches.js';
import { decodeBatch } from './decode.js';
import { v1 } from './wire.js';

const NOW = 1_767_225_600_000_000;
const columns = columnsOf(plainFlows(3, 7, NOW));
const batchWith = (changes: object) => batchOf(1, 1, [], { ended: { ...columns, ...changes } });

describe('decodeBatch', () => {
  it('gives back what was encoded', () => {
    const flow = fc.record({
      cgroup: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      endUs: fc.integer({ min: 0, max: 2 ** 52 }),
      cookie: fc.integer({ min: 0, max: 2 ** 52 }),
      protocol: fc.integer({ min: 0, max: 255 }),
      direction: fc.integer({ min: 0, max: 2 }),
      verdict: fc.integer({ min: 0, max: 3 }),
      end: fc.integer({ min: 0, max: 5 }),
      flags: fc.integer({ min: 0, max: 15 }),
      failure: fc.integer({ min: 0, max: 4 }),
      payload: fc.integer({ min: 0, max: 12 }),
    });
    fc.assert(
      fc.property(fc.array(flow, { maxLength: 50 }), (flows: SampleFlow[]) => {
        const { ended } = decodeBatch(batchOf(1, 1, flows));
        const decoded = flows.map((_, i) => ({
          ...unpackKind(ended?.kinds[i] as number),
          cgroup: ended?.cgroups[ended.columns.cgroup[i] as number],
          endUs: ended?.endUs[i],
          cookie: ended?.cookies[i],
        }));
        expect(decoded).toEqual(flows.map((it) => ({ ...it, tls: 0 })));
      }),
    );
  });

  it.each([
    ['a column that is too short', { rttUs: [1] }, /column rttUs has 1 of 3/],
    ['a column that is too long', { rule: [1, 2, 3, 4] }, /column rule has 4 of 3/],
    ['an index outside of its dictionary', { remoteAddress: [0, 0, 9] }, /remoteAddress points outside of addresses/],
    ['a port that is none', { remotePort: [1, 2, 70000] }, /remotePort holds 70000/],
    ['an unknown verdict', { verdict: [1, 1, 9] }, /verdict holds 9/],
    ['a number that none holds', { sentBytesPlusOne: [1, 1, 2 ** 60] }, /sentBytesPlusOne is beyond 2\^53/],
    [
      'an address of five bytes',
      { addresses: [new Uint8Array(5)], localAddress: [0, 0, 0], remoteAddress: [0, 0, 0] },
      /address of 5 bytes/,
    ],
    ['a time before 1970', { endTimeDelta: [-1, 0, 0] }, /a time is out of range/],
    ['sparse rows that do not ascend', { names: { row: [1, 1], name: [0, 0] } }, /the rows of names do not ascend/],
    ['a sparse row that is not there', { failures: { row: [3], failure: [1] } }, /the rows of failures do not ascend/],
    ['sparse columns of other lengths', { names: { row: [0, 1], name: [0] } }, /names.name has 1 of 2/],
    ['a name outside of the texts', { names: { row: [0], name: [7] } }, /names.name points outside/],
    [
      'a translated port that is none',
      {
        translations: {
          row: [0],
          sourceAddress: [0],
          sourcePort: [70000],
          destinationAddress: [0],
          destinationPort: [1],
        },
      },
      /translations.sourcePort is 70000/,
    ],
    ['more rows than there can be', { rows: 2 ** 31 }, /rows/],
  ])('refuses %s', (_, changes, message) => {
    expect(() => decodeBatch(batchWith(changes))).toThrowError(message);
  });

  it('refuses integers that a number cannot hold', () => {
    // cgroups = [2^63], by hand: the encoder works with numbers too.
    const tooLarge = Uint8Array.of(0x1a, 10, ...Array(9).fill(0x80), 0x01);
    const ended = v1.FlowColumns.encode(v1.FlowColumns.create({ rows: 0 })).finish();
    const body = Uint8Array.of(...ended, ...tooLarge);
    expect(() => decodeBatch(Uint8Array.of(0x1a, body.length, ...body))).toThrowError(/cgroup id is beyond 2\^53/);
  });

  it('throws nothing but its own error, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeBatch(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_batch' });
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('survives any single changed byte of a real batch', () => {
    const batch = batchOf(1, 1, plainFlows(20, 7, NOW));
    for (let at = 0; at < batch.length; at++) {
      const changed = Uint8Array.from(batch);
      changed[at] = (changed[at] as number) ^ 0xff;
      try {
        decodeBatch(changed);
      } catch (error) {
        expect(error).toMatchObject({ code: 'invalid_batch' });
      }
    }
  });
});
