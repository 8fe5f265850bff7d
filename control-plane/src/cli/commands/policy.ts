// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import type { Effect } from '../../flows/effect.js';
import type { Kind } from '../../policy/index.js';
import { type Client, readInput } from '../client.js';
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
import { type DescribeOptions, describe } from './policy_describe.js';
import { diff } from './policy_diff.js';
import { addDrift } from './policy_drift.js';
import { addExport, addImport } from './policy_foreign.js';
import { KEY, policyAt } from './policy_keys.js';
import { addLearn } from './policy_learn.js';
import { addDemote, addPromote } from './policy_mode.js';
import { addSimulate } from './policy_simulate.js';
import { addStage, addStaged, addUnstage } from './policy_stage.js';
import { addPropose } from './proposals.js';

/** A policy or an observation. */
interface Policy {
  key: string;
  kind: Kind;
  mode: string | null;
  keptIn: 'cellwall' | 'kubernetes';
  generation: number;
  updatedAt: string;
  text: string;
  document: { spec?: { egress?: unknown[]; ingress?: unknown[]; names?: boolean; payload?: boolean } };
}

export interface Applied {
  applied: { key: string; change: string }[];
  generation: number;
  warnings: string[];
  effect: Effect | null;
}

function warn({ warnings }: Applied): void {
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
}

/** Of a command that has written one document. */
export function printApplied(text: string, done: Applied, dryRun: boolean | undefined): void {
  const [first] = done.applied;
  print(`${text}---\n`);
  print(
    dryRun
      ? `${first?.key} would be ${first?.change}; nothing was changed\n`
      : `${first?.key} ${first?.change}, generation ${done.generation}\n`,
  );
  warn(done);
}

async function apply(options: ConnectionOptions & { file: string; dryRun?: boolean }): Promise<void> {
  const source = options.file === '-' ? 'stdin' : options.file;
  const query = { source, dryRun: options.dryRun ? 'true' : 'false' };
  const done = await connect(options).json<Applied>('PUT', '/v1/policies', query, readInput(options.file));
  for (const { key, change } of done.applied) print(`${key} ${change}${options.dryRun ? ' (dry run)' : ''}\n`);
  print(options.dryRun ? 'nothing was changed\n' : `generation ${done.generation}\n`);
  if (done.effect) print(`${effectSummary(done.effect)}\n`);
  if (done.effect && options.dryRun) printEffectLines(done.effect);
  warn(done);
}

function getOne(client: Client, key: string): Promise<Policy> {
  const { path, query } = policyAt(key);
  return client.json<Policy>('GET', path, query);
}

function rulesOf({ kind, document }: Policy): number | null {
  if (kind === 'ContainerObservation') return null;
  return (document.spec?.egress?.length ?? 0) + (document.spec?.ingress?.length ?? 0);
}

/** What is kept in Kubernetes is changed there, with kubectl. */
const sourceOf = ({ kind, keptIn }: Policy): string => (kind === 'NetworkPolicy' ? 'kubernetes NetworkPolicy' : keptIn);

const observesOf = ({ document }: Policy): string[] =>
  (['names', 'payload'] as const).filter((name) => document.spec?.[name] === true);

/** As they were written. */
function printYaml(found: readonly Policy[]): void {
  print(found.map(({ text }) => (text.endsWith('\n') ? text : `${text}\n`)).join('---\n'));
}

async function get(key: string | undefined, options: ConnectionOptions & { output: Output | 'yaml' }): Promise<void> {
  const client = connect(options);
  const found =
    key === undefined
      ? (await client.json<{ policies: Policy[] }>('GET', '/v1/policies')).policies
      : [await getOne(client, key)];
  if (options.output === 'yaml' || (key !== undefined && options.output === 'table')) return printYaml(found);
  const now = new Date();
  printListing(
    {
      name: 'policies',
      items: found,
      head: ['POLICY', 'MODE', 'RULES', 'OBSERVES', 'KEPT IN', 'GENERATION', 'CHANGED'],
      row: (it) => [
        { text: it.key, color: 'bold' },
        { text: it.mode ?? '-' },
        { text: String(rulesOf(it) ?? '-'), right: true },
        { text: observesOf(it).join(', ') || '-' },
        { text: sourceOf(it) },
        { text: String(it.generation), right: true },
        { text: localTime(it.updatedAt, now) },
      ],
      csvHead: ['policy', 'mode', 'rules', 'generation', 'changed', 'kind', 'observes', 'kept_in'],
      csvRow: (it) => [
        it.key,
        it.mode,
        rulesOf(it),
        it.generation,
        it.updatedAt,
        it.kind,
        observesOf(it).join(' '),
        sourceOf(it),
      ],
      empty: 'no policies; everything is allowed and recorded',
    },
    options.output as Output,
  );
}

export async function remove(key: string, options: ConnectionOptions): Promise<void> {
  const { path, query } = policyAt(key);
  const { generation } = await connect(options).json<{ generation: number }>('DELETE', path, query);
  print(`${key} deleted\ngeneration ${generation}\n`);
}

export function policyCommand(): Command {
  const command = new Command('policy').description(
    'policies and observations: learn, simulate, apply, stage, promote, demote, drift, propose, get, describe, diff, delete, export, import',
  );
  addLearn(command.command('learn'));
  addPromote(command.command('promote'));
  addDemote(command.command('demote'));
  addDrift(command.command('drift'));
  addExport(command.command('export'));
  addImport(command.command('import'));
  addSimulate(command.command('simulate'));
  addConnection(command.command('apply').description('create or replace all that a file holds, or nothing'))
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--dry-run', 'check, and say what would change')
    .action(apply);
  addStage(command.command('stage'));
  addStaged(command.command('staged'));
  addUnstage(command.command('unstage'));
  addPropose(command.command('propose'));
  addOutput(addConnection(command.command('get').description('list policies and observations, or print one')), [
    'table',
    'yaml',
    'json',
    'jsonl',
    'csv',
  ])
    .argument('[policy]', KEY)
    .action(get);
  addOutput(
    addConnection(command.command('describe').description('whom a policy selects, where, and what it decided')),
    ['table', 'json'],
  )
    .argument('<policy>', KEY)
    .option('--since <time>', 'of the decisions: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago', '7d')
    .action((key: string, options: DescribeOptions) => describe(key, options));
  addConnection(
    command.command('diff').description('what applying a file, or a staged version, would change; nothing is changed'),
  )
    .argument('[policy]', `whose staged version is meant: ${KEY}`)
    .option('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--exit-code', 'fail when something would change')
    .action(diff);
  addConnection(command.command('delete').description('delete a policy or an observation'))
    .argument('<policy>', KEY)
    .action(remove);
  return command;
}
