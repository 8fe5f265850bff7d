// SPDX-License-Identifier: Apache-2.0
//
// The disk of the server is full: a file system of its own, filled by somebody else.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, it } from 'vitest';
import { TestAgent } from '../../control-plane/src/testing/agent.js';
import { ServerProcess } from '../harness/cellwall.js';
import { ROOT } from '../harness/root.js';
import { Background, until } from '../harness/run.js';
import { mistakes, rowsOf } from './numbered_rows.js';

const FULL_SECONDS = process.env.LONG ? 600 : 8;
const LONGEST_MS = (FULL_SECONDS + 240) * 1000;
const MEBIBYTES = 32;
/** Between two batches: the disk is not to be filled by flows. */
const PACE_MS = '100';

interface Status {
  readonly generation: number;
  readonly store: {
    readonly writable: boolean;
    readonly error: string | null;
    readonly outages: { from: string; to: string | null; cause: string }[];
  };
  readonly flows: { readonly stored: number };
}

const base = mkdtempSync(join(tmpdir(), 'cellwall-chaos-'));
const disk = join(base, 'disk');
const undo: (() => unknown)[] = [() => rmSync(base, { recursive: true, force: true })];
afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

/** undefined: there is one now. */
function mountDisk(): string | undefined {
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEBIBYTES}m`, 'cellwall-chaos', disk], { stdio: 'pipe' });
  } catch (error) {
    return `a disk of its own cannot be mounted: ${(error as Error).message.trim()}`;
  }
  undo.push(() => execFileSync('umount', ['-l', disk]));
  return undefined;
}

/** Takes all the room that is left. */
function fill(file: string): void {
  const ballast = openSync(file, 'a');
  try {
    for (;;) writeSync(ballast, Buffer.alloc(4096, 1));
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(ballast);
  }
}

const policy = (
  change: number,
) => `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: p${change % 20}},
  spec: {egress: [{name: no-db, action: Deny, to: [{networks: [10.0.${change >> 8}.${change & 255}]}]}]}}`;

const refused = process.getuid?.() === 0 ? mountDisk() : 'needs root, to mount a disk of its own';
if (refused) process.stderr.write(`full_disk.test.ts is skipped: ${refused}\n`);

it.skipIf(refused)(
  `a disk that is full for ${FULL_SECONDS} s stops flows, not policies, and nobody has to help`,
  async () => {
    const data = join(disk, 'data');
    const server = await ServerProcess.start(data, join(base, 'server.log'), { extra: ['--log-level', 'info'] });
    undo.push(() => server.process.stop());
    const status = () => server.get<Status>('/v1/status');
    // Another node, which shall get its policies all the time.
    const pushed = new TestAgent(server.grpc);
    undo.push(() => pushed.close());
    await pushed.hello('quiet', 'boot.1');
    const acks = join(base, 'acks');
    const agent = new Background('node', [join(ROOT, 'test/chaos/agent.js'), server.grpc, 'n', PACE_MS], acks);
    undo.push(() => agent.stop('SIGKILL'));
    await until('flows are stored', async () => (await status()).flows.stored > 1000);

    const ballast = join(disk, 'ballast');
    const beginning = Date.now();
    fill(ballast);
    await until('flows are not stored any more', async () => !(await status()).store.writable, 30_000);
    const atFull = await status();
    let changes = 0;
    let lastPushed = 0;
    while (Date.now() < beginning + FULL_SECONDS * 1000) {
      // Whatever becomes free is taken, but for the reserve that the first change gives up: others do not know of it.
      pushed.send({ heartbeat: { number: changes } });
      await server.put('/v1/policies', policy(changes));
      changes++;
      const { generation } = await pushed.next('ruleSets');
      expect(Number(generation)).toBeGreaterThan(lastPushed);
      lastPushed = Number(generation);
      await sleep(500);
    }
    const still = await status();
    expect(still.store).toMatchObject({ writable: false, error: expect.stringMatching(/make room/) });
    expect(still.flows.stored).toBe(atFull.flows.stored);
    expect(still.generation).toBe(changes);
    expect(statSync(join(data, 'reserve')).size).toBe(0);

    rmSync(ballast);
    const ending = Date.now();
    await until('flows are stored again', async () => (await status()).flows.stored > still.flows.stored, 30_000);
    const after = await status();
    const outage = after.store.outages[0];
    expect(after.store).toMatchObject({ writable: true, error: null });
    expect(Date.parse(outage?.from ?? '')).toBeGreaterThanOrEqual(beginning - 1000);
    expect(Date.parse(outage?.to ?? '')).toBeGreaterThan(Date.parse(outage?.from ?? '') + (FULL_SECONDS - 5) * 1000);
    expect(outage?.cause).toMatch(/full/);
    expect(statSync(join(data, 'reserve')).size).toBe((MEBIBYTES / 32) * 2 ** 20);

    await agent.stop('SIGKILL');
    await server.process.stop();
    const acknowledged = Math.max(...readFileSync(acks, 'utf8').split('\n').slice(0, -1).map(Number));
    expect(mistakes('n', rowsOf(data).get('n'), acknowledged)).toEqual([]);
    process.stdout.write(
      `${changes} policies were changed and pushed while the disk was full; flows again ${Date.parse(outage?.to ?? '') - ending} ms after there was room\n`,
    );
  },
  LONGEST_MS,
);
