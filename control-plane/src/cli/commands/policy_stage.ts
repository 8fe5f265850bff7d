// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy stage`, `staged` and `unstage`: a version of a policy beside the one in force.
import type { Command } from 'commander';
import { EXIT } from '../../errors.js';
import type { Effect } from '../../flows/effect.js';
import { CommandError, readInput } from '../client.js';
import { effectSummary, printEffectLines } from '../effect_text.js';
import { localTime } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';
import { KEY, policyAt } from './policy_keys.js';

export interface StagedVersion {
  readonly key: string;
  readonly author: string;
  readonly since: string;
  readonly change: string;
  readonly text: string;
}

interface WithEffect extends StagedVersion {
  readonly effect: Effect | null;
}

function placeOf(key: string) {
  const { path, query } = policyAt(key);
  return { path: path.replace('/v1/policies/', '/v1/staged/'), query };
}

export async function stagedVersions(options: ConnectionOptions): Promise<readonly StagedVersion[]> {
  return (await connect(options).json<{ staged: StagedVersion[] }>('GET', '/v1/staged')).staged;
}

/** Throws when there is none. */
export async function stagedOne(key: string, options: ConnectionOptions): Promise<StagedVersion> {
  const found = (await stagedVersions(options)).find((it) => it.key === key);
  if (!found)
    throw new CommandError(
      `${key} has no staged version; 'cellwall policy staged' lists those there are`,
      EXIT.notFound,
    );
  return found;
}

function effectSince(key: string, since: string | undefined, options: ConnectionOptions): Promise<WithEffect> {
  const { path, query } = placeOf(key);
  return connect(options).json<WithEffect>('GET', path, { ...query, since });
}

function printEffect({ key, effect }: WithEffect): void {
  if (!effect) {
    print(`the staged version of ${key} is in force already\n`);
    return;
  }
  print(`the staged version of ${key} ${effectSummary(effect)}\n`);
  printEffectLines(effect);
}

/** What it would have done since it was staged; throws when flows would newly be refused. */
export async function checkStaged(staged: StagedVersion, despite: boolean, options: ConnectionOptions): Promise<void> {
  const found = await effectSince(staged.key, undefined, options);
  printEffect(found);
  if ((found.effect?.refused ?? 0) > 0 && !despite)
    throw new CommandError(
      `${staged.key} stays as it is: stage a version with rules for what should go on (that begins anew), or give --despite-findings`,
      EXIT.failure,
    );
}

async function stage(options: ConnectionOptions & { file: string }): Promise<void> {
  const source = options.file === '-' ? 'stdin' : options.file;
  const { staged } = await connect(options).json<{ staged: { key: string; change: string }[] }>(
    'PUT',
    '/v1/staged',
    { source },
    readInput(options.file),
  );
  for (const { key, change } of staged) print(`${key} ${change === 'unchanged' ? 'is like that already' : 'staged'}\n`);
  print(
    "nothing is refused by it; 'cellwall flows' shows what it would say, 'cellwall policy promote' puts it in force\n",
  );
}

async function list(
  key: string | undefined,
  options: ConnectionOptions & { since?: string; output: Output },
): Promise<void> {
  if (key !== undefined) {
    const found = await effectSince(key, options.since, options);
    return options.output === 'json' ? print(`${JSON.stringify(found, null, 2)}\n`) : printEffect(found);
  }
  const now = new Date();
  printListing(
    {
      name: 'staged',
      items: await stagedVersions(options),
      head: ['POLICY', 'WOULD BE', 'STAGED', 'BY'],
      row: (it) => [
        { text: it.key, color: 'bold' },
        { text: it.change },
        { text: localTime(it.since, now) },
        { text: it.author },
      ],
      csvHead: ['policy', 'change', 'since', 'author'],
      csvRow: (it) => [it.key, it.change, it.since, it.author],
      empty: 'nothing is staged',
    },
    options.output,
  );
}

async function unstage(key: string, options: ConnectionOptions): Promise<void> {
  const { path, query } = placeOf(key);
  await connect(options).json('DELETE', path, query);
  print(`the staged version of ${key} is given up\n`);
}

export function addStage(command: Command): void {
  addConnection(command)
    .description('try a version of a policy beside the one in force: it refuses nothing, flows show what it would say')
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .action(stage);
}

export function addStaged(command: Command): void {
  addOutput(
    addConnection(command).description('list staged versions, or say what one would have done since it was staged'),
  )
    .argument('[policy]', KEY)
    .option('--since <time>', 'of the flows: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .action(list);
}

export function addUnstage(command: Command): void {
  addConnection(command).description('give up a staged version').argument('<policy>', KEY).action(unstage);
}
