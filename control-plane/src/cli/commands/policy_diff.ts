// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy diff`: what applying a file would change, line by line.
import { EXIT } from '../../errors.js';
import { CommandError, readInput } from '../client.js';
import { useColor } from '../format.js';
import { type ConnectionOptions, connect, print } from '../shared.js';
import { stagedOne } from './policy_stage.js';

interface Answer {
  applied: { key: string; change: string; before: unknown; after: unknown }[];
  warnings: string[];
}

type Line = readonly [sign: '+' | '-' | ' ', text: string];
/** Longer documents are shown whole, as taken out and put in. */
const MOST_LINES = 4000;
const AROUND = 3;

/** The longest common subsequence keeps its place; everything else is taken out or put in. */
export function diffLines(before: readonly string[], after: readonly string[]): Line[] {
  const gone = before.map((text): Line => ['-', text]);
  const come = after.map((text): Line => ['+', text]);
  if (before.length > MOST_LINES || after.length > MOST_LINES) return [...gone, ...come];
  const width = after.length + 1;
  const common = new Uint16Array((before.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      common[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length && j < after.length) {
    if (before[i] === after[j]) {
      lines.push([' ', before[i] as string]);
      i++;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) lines.push(gone[i++] as Line);
    else lines.push(come[j++] as Line);
  }
  return [...lines, ...gone.slice(i), ...come.slice(j)];
}

/** Only what is near a change. */
function near(lines: readonly Line[]): Line[] {
  const changes = lines.flatMap(([sign], index) => (sign === ' ' ? [] : [index]));
  const wanted = new Set(changes.flatMap((at) => Array.from({ length: 2 * AROUND + 1 }, (_, k) => at - AROUND + k)));
  return lines.filter((_, index) => wanted.has(index));
}

function printLines(lines: readonly Line[]): void {
  const color = useColor(process.stdout);
  for (const [sign, text] of lines) {
    const line = `${sign} ${text}`;
    if (!color || sign === ' ') print(`${line}\n`);
    else print(`\u001b[${sign === '+' ? 32 : 31}m${line}\u001b[0m\n`);
  }
}

export interface DiffOptions extends ConnectionOptions {
  file?: string;
  exitCode?: boolean;
}

export async function diff(key: string | undefined, options: DiffOptions): Promise<void> {
  const { file } = options;
  if ((key === undefined) === (file === undefined))
    throw new CommandError('give a file (-f), or a policy that has a staged version', EXIT.usage);
  const text = file === undefined ? (await stagedOne(key ?? '', options)).text : readInput(file);
  const source = file === '-' ? 'stdin' : (file ?? key);
  const query = { source, dryRun: 'true' };
  const { applied, warnings } = await connect(options).json<Answer>('PUT', '/v1/policies', query, text);
  // Loaded here: completion starts every command and should not wait for it.
  const { stringify } = await import('yaml');
  const linesOf = (document: unknown) => (document ? stringify(document).trimEnd().split('\n') : []);
  for (const { key, change, before, after } of applied) {
    print(`${key}: ${change}\n`);
    if (change !== 'unchanged') printLines(near(diffLines(linesOf(before), linesOf(after))));
  }
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
  const changes = applied.filter(({ change }) => change !== 'unchanged').length;
  if (options.exitCode && changes > 0)
    throw new CommandError(`${changes} of ${applied.length} would change`, EXIT.failure);
}
