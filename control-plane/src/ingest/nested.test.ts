// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { batchOf, plainFlows } from '../testing/batches.js';
import { Random } from '../testing/random.js';
import { decodeBatch } from './decode.js';
import { checkNested, FLOW_BATCH, STREAM_REQUEST } from './nested.js';
import { v1 } from './wire.js';

const NOW = 1_767_225_600_000_000;
const listOf = (field: number, entries: number) =>
  Buffer.from(
    Array(entries)
      .fill([(field << 3) | 2, 0])
      .flat(),
  );

describe('checkNested', () => {
  it('lets pass what agents send', () => {
    const containers = Array.from({ length: 1000 }, (_, i) => ({
      cgroupId: i,
      labels: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`label-${n}`, 'value'])),
      addresses: ['10.0.0.1', 'fd00::1'],
    }));
    const message = v1.StreamRequest.create({ containers: { complete: true, upserted: containers } });
    checkNested(v1.StreamRequest.encode(message).finish(), STREAM_REQUEST);
    checkNested(batchOf(1, 1, plainFlows(1024, 7, NOW)), FLOW_BATCH);
  });

  it('refuses lists with more entries than a node can have, however deep they are', () => {
    expect(() => checkNested(listOf(7, 300_000), FLOW_BATCH)).toThrow(/more than 262144 entries/);
    const inner = v1.FlowBatch.encode(v1.FlowBatch.create({})).bytes(listOf(1, 300_000)).finish();
    expect(() => checkNested(Buffer.concat([Uint8Array.of(0x6a), inner]), FLOW_BATCH)).toThrow(
      /more than 262144 entries/,
    );
  });

  it('refuses what goes beyond its end, and groups', () => {
    for (const bytes of [[0x0a], [0x3a, 5, 0], [0x08, 0x80], [0x0b], [0x0d, 1], [0x3a, 2, 0x3a, 9]])
      expect(() => checkNested(Uint8Array.from(bytes), FLOW_BATCH)).toThrow();
  });
});

it('whatever a batch is made of, it is refused as malformed or has columns of one length', () => {
  const random = new Random(7);
  const good = batchOf(1, 1, plainFlows(50, 7, NOW));
  let refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from(good);
    for (let n = random.below(6); n >= 0; n--) bytes[random.below(bytes.length)] = random.below(256);
    const data = random.chance(0.3) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    try {
      const { ended } = decodeBatch(data);
      expect(ended?.endUs.length ?? 0).toBe(ended?.rows ?? 0);
    } catch (error) {
      refused++;
      expect((error as Error).message).toMatch(/^malformed batch: /);
    }
  }
  expect(refused).toBeGreaterThan(5000);
});
