// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStorage } from '../../control-plane/src/store/start.js';
import { cleanUp } from '../../control-plane/src/testing/after_each.js';
import { temporaryFolder } from '../../control-plane/src/testing/folder.js';
import { Random } from '../../control-plane/src/testing/random.js';
import { ROOT } from '../harness/root.js';
import { run } from '../harness/run.js';
import { mistakes, rowsOf } from './numbered_rows.js';
import { Disk, readLog } from './power_cut.js';

afterEach(cleanUp);

const CUTS = process.env.LONG ? 500 : 20;
const COMMITS = process.env.LONG ? 400 : 120;
const SEED = Number(process.env.SEED ?? 1);

let base: string;
let steps: ReturnType<typeof readLog>;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'cellwall-chaos-'));
  const data = join(base, 'data');
  mkdirSync(data);
  run('node', [join(ROOT, 'test/chaos/store_writer.js'), data, String(COMMITS)], {
    env: {
      ...process.env,
      LD_PRELOAD: join(ROOT, 'build/chaos/file_log.so'),
      FILE_LOG: join(base, 'log'),
      FILE_LOG_FOLDER: data,
    },
  });
  steps = readLog(join(base, 'log'));
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

/** The last that was acknowledged, by node. */
function acknowledged(disk: Disk): Map<string, number> {
  const lines = disk.text('acks').split('\n').slice(0, -1);
  return new Map(lines.map((line) => line.split(' ')).map(([node = '', event]) => [node, Number(event)]));
}

/** What is wrong in the folder that a cut has left. */
function examine(folder: string, acks: ReadonlyMap<string, number>): string[] {
  rmSync(join(folder, 'acks'), { force: true });
  const warnings: string[] = [];
  const { storage, start } = openStorage({
    folder,
    retentionDays: 30,
    rollUpDays: 400,
    maxBytes: 1e12,
    warn: (message) => warnings.push(message),
  });
  const found = [
    ...warnings,
    ...start.checked.filter((it) => it.result !== 'ok').map((it) => `${it.file}: ${it.problem}`),
  ];
  for (const [node, event] of acks)
    if (storage.committed(node, 'boot.1') < event) found.push(`${node}: ${event} acknowledged, lost`);
  storage.close();
  const rows = rowsOf(folder);
  // The day of "old" may be past its retention.
  for (const node of new Set([...acks.keys(), ...rows.keys()]))
    if (node !== 'old' || rows.has(node)) found.push(...mistakes(node, rows.get(node), acks.get(node) ?? 0));
  return found;
}

function cut(honoursSync: boolean, cuts: number): { mistakes: string[]; acknowledgedRows: number } {
  const random = new Random(SEED);
  // A third of them near the beginning, where files are made.
  const points = Array.from({ length: cuts }, (_, i) => random.below(i % 3 === 0 ? steps.length / 10 : steps.length));
  const disk = new Disk(honoursSync);
  const found: string[] = [];
  let at = 0;
  let acknowledgedRows = 0;
  for (const point of points.sort((a, b) => a - b)) {
    for (; at < point; at++) disk.step(steps[at] as (typeof steps)[number]);
    const folder = join(temporaryFolder(), 'data');
    disk.cutInto(folder, random);
    const acks = acknowledged(disk);
    acknowledgedRows += [...acks.values()].reduce((sum, event) => sum + event, 0);
    try {
      found.push(...examine(folder, acks).map((mistake) => `cut before step ${point}: ${mistake}`));
    } catch (error) {
      found.push(`cut before step ${point}: ${(error as Error).message}`);
    }
    rmSync(folder, { recursive: true, force: true });
  }
  return { mistakes: found, acknowledgedRows };
}

/** A cut takes about a second on a busy machine. */
const LONGEST_MS = 60_000 + CUTS * 10_000;

describe('a power cut', () => {
  it(
    `at ${CUTS} moments loses nothing that was acknowledged, and leaves files that are whole`,
    () => {
      const { mistakes, acknowledgedRows } = cut(true, CUTS);
      expect(mistakes).toEqual([]);
      expect(acknowledgedRows).toBeGreaterThan(CUTS * 1000);
      process.stdout.write(
        `${CUTS} power cuts in ${steps.length} steps, ${acknowledgedRows} acknowledged rows looked for\n`,
      );
    },
    LONGEST_MS,
  );

  it('on a disk that lies about syncing is seen by this test', () => {
    expect(cut(false, 5).mistakes).not.toEqual([]);
  });
});
