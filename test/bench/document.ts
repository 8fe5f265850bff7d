// SPDX-License-Identifier: Apache-2.0
//
// docs/BENCHMARKS.md, from what was measured, and how busy the machine was with something else.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../harness/root.js';

export interface Line {
  readonly what: string;
  readonly measured: string;
  readonly budget: string;
  readonly met: boolean | null;
}

export interface Measured {
  readonly date: string;
  /** The share of the processors that others had before it began; older versions did not look. */
  readonly busy?: number;
  readonly lines: readonly Line[];
}

/** Above it, times are not those of the program alone. */
const MOST_BUSY = 0.1;
const LOOK_MS = 2000;

function ticks(): { all: number; idle: number } {
  const times = cpus().map((it) => it.times);
  const sum = (values: readonly number[]) => values.reduce((total, it) => total + it, 0);
  return { all: sum(times.flatMap((it) => Object.values(it))), idle: sum(times.map((it) => it.idle)) };
}

export async function busyShare(): Promise<number> {
  const before = ticks();
  await sleep(LOOK_MS);
  const after = ticks();
  return 1 - (after.idle - before.idle) / (after.all - before.all);
}

function busyNote(measured: readonly (Measured & { readonly part: string })[]): string {
  const found = measured.filter(({ busy = 0 }) => busy > MOST_BUSY);
  if (found.length === 0) return '';
  const parts = found.map(({ part, busy = 0 }) => `\`${part}\` (${Math.round(100 * busy)} % of its processors)`);
  return `\n**The machine was busy with something else** when these parts were measured, so their figures are worse than they would be: ${parts.join(', ')}.\n`;
}

export function writeDocument(measured: readonly (Measured & { readonly part: string })[], rounds: string): void {
  const mark = (met: boolean | null) => (met === null ? '' : met ? 'met' : '**missed**');
  const cpu = cpus();
  const distribution = /PRETTY_NAME="(.*)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const dates = [...new Set(measured.map(({ date }) => date))].sort();
  const text = `# Benchmarks

Measured by \`make bench\` on ${dates.join(' and ')}: ${cpu.length} × ${cpu[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB,
${distribution}, Linux ${release()}, Node.js ${process.version}. Times of connections are medians of ${rounds} rounds in which all variants take
turns; compare the ratios, not the times, with other machines; costs below zero show how much of a difference is noise. All traffic is on
loopback.
${busyNote(measured)}
| What | Measured | Budget | |
|---|---|---|---|
${measured
  .flatMap((it) => it.lines)
  .map((it) => `| ${it.what} | ${it.measured} | ${it.budget} | ${mark(it.met)} |`)
  .join('\n')}
`;
  mkdirSync(join(ROOT, 'docs'), { recursive: true });
  writeFileSync(join(ROOT, 'docs/BENCHMARKS.md'), text);
}
