// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import type { Flow } from '../../flows/record.js';
import { batchOf, type SampleFlow } from '../../testing/batches.js';
import { cellwall } from '../../testing/cli.js';
import { temporaryFolder } from '../../testing/folder.js';
import { type TestServer, testServer } from '../../testing/server.js';
import { FLOW_CSV_HEAD, flowCsv } from '../flow_listing.js';
import { csvLine } from '../format.js';

const NOW = Date.now() * 1000;
const DAY_US = 86_400e6;
const ROWS = 5000;
const NUMBERS = /_port$|_bytes$|_us$|retransmits|process_id|^count$/;

/** Of all kinds, in two days. */
const sample = (i: number): SampleFlow => ({
  cgroup: 7 + (i % 3),
  endUs: NOW - (i % 2) * DAY_US - (ROWS - i) * 1001,
  durationUs: i % 7 === 0 ? -1 : i,
  direction: 1 + (i % 2),
  verdict: i % 11 === 0 ? 2 : 1,
  remotePort: 1 + i,
  sentBytes: i % 13 === 0 ? -1 : 2 ** 40 + i,
  processName: `näme "${i % 5}"`,
  ...(i % 4 === 0 && { name: `host${i % 9}.example.com`, payload: 2, tlsVersion: 0x0304, serverName: 'a.example.com' }),
  ...((i % 6 === 0 && { source: [[10, 0, 0, 9], 1024 + i], destination: [[10, 9, 9, 9], 15432] as const }) as object),
});

async function filled(): Promise<TestServer> {
  const server = await testServer();
  const agent = server.agent();
  await agent.hello('n');
  for (let batch = 0; batch < ROWS / 500; batch++) {
    const flows = Array.from({ length: 500 }, (_, i) => sample(batch * 500 + i));
    // A batch goes into one day.
    const halves = [flows.filter((_, i) => i % 2 === 1), flows.filter((_, i) => i % 2 === 0)];
    for (const [index, half] of halves.entries())
      agent.sendBatch(batchOf(batch * 2 + index + 1, batch * 500 + index * 250 + 1, half));
  }
  await agent.acknowledged((ROWS / 500) * 2);
  return server;
}

const run = (server: TestServer, ...args: string[]) => cellwall(server.httpAddress, 'export', '--since', '3d', ...args);
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Flow);

describe('cellwall export', () => {
  it('gives all flows, each once and oldest first, and the same in every form', async () => {
    const server = await filled();
    const folder = temporaryFolder();
    const text = await run(server);
    expect(text).toMatchObject({ code: 0, stderr: `${ROWS} flows exported\n` });
    const flows = linesOf(text.stdout);
    expect(new Set(flows.map(({ id }) => id)).size).toBe(ROWS);
    expect(flows.map(({ id }) => id.slice(0, 10))).toEqual(flows.map(({ id }) => id.slice(0, 10)).sort());

    const csv = join(folder, 'flows.csv');
    expect(await run(server, '-o', 'csv', '--file', csv)).toMatchObject({ code: 0, stdout: '' });
    expect(readFileSync(csv, 'utf8')).toBe(
      csvLine(FLOW_CSV_HEAD) + flows.map((flow) => csvLine(flowCsv(flow))).join(''),
    );

    const parquet = join(folder, 'flows.parquet');
    expect(await run(server, '-o', 'parquet', '--file', parquet)).toMatchObject({ code: 0 });
    const file = await asyncBufferFromFile(parquet);
    expect((await parquetMetadataAsync(file)).schema.slice(1).map(({ name }) => name)).toEqual(FLOW_CSV_HEAD);
    const rows = (await parquetReadObjects({ file })) as Record<string, unknown>[];
    const wanted = flows.map((flow) =>
      Object.fromEntries(
        flowCsv(flow).map((value, index) => {
          const name = FLOW_CSV_HEAD[index] ?? '';
          if (value === null) return [name, null];
          // The reader makes Dates of them, which have no microseconds.
          if (name === 'start' || name === 'end') return [name, new Date(`${String(value).slice(0, 23)}Z`).getTime()];
          return [name, NUMBERS.test(name) ? BigInt(value) : value];
        }),
      ),
    );
    const read = rows.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, value instanceof Date ? value.getTime() : (value ?? null)]),
      ),
    );
    expect(read).toEqual(wanted);
    expect(readdirSync(folder).sort()).toEqual(['flows.csv', 'flows.parquet']);
  });

  it('takes the filters of flows, and goes on from a cursor', async () => {
    const server = await filled();
    const denied = linesOf((await run(server, '--verdict', 'denied', '--container', 'cgroup:7')).stdout);
    expect(denied).toHaveLength(Array.from({ length: ROWS }, (_, i) => i).filter((i) => i % 33 === 0).length);
    const { body } = await server.ask('/v1/flows/export?limit=1000');
    const { flows, nextCursor } = body as { flows: Flow[]; nextCursor: string };
    const rest = linesOf((await run(server, '--cursor', nextCursor)).stdout);
    const all = linesOf((await run(server)).stdout);
    expect([...flows, ...rest]).toEqual(all);
  });

  it('leaves no file behind when it cannot be made whole', async () => {
    const server = await filled();
    const folder = temporaryFolder();
    const file = join(folder, 'flows.jsonl');
    expect(await run(server, '--file', file, '--peer', 'nonsense')).toMatchObject({ code: 5 });
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
    expect(await run(server, '-o', 'parquet')).toMatchObject({ code: 2, stderr: expect.stringContaining('--file') });
    expect(await run(server, '--file', join(folder, 'none/f'))).toMatchObject({ code: 2 });
  });

  it('does not hold up other questions', async () => {
    const server = await filled();
    const exported = run(server, '--peers');
    let slowest = 0;
    for (let i = 0; i < 20; i++) {
      const began = performance.now();
      await server.ask('/v1/flows?limit=1&peers=false');
      slowest = Math.max(slowest, performance.now() - began);
    }
    const { stdout } = await exported;
    expect(linesOf(stdout)).toHaveLength(ROWS);
    expect(slowest).toBeLessThan(2000);
  });
});
