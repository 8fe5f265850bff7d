// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { EXIT } from '../../errors.js';
import type { Kind } from '../../policy/index.js';
import { type Client, CommandError, readInput } from '../client.js';
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

/** A policy or an observation. */
interface Policy {
  key: string;
  kind: Kind;
  mode: string | null;
  generation: number;
  updatedAt: string;
  document: { spec?: { egress?: unknown[]; ingress?: unknown[]; names?: boolean; payload?: boolean } };
}

const OBSERVATION = 'observation:';
const KEY = 'NAMESPACE/NAME of a policy, or observation:NAMESPACE/NAME';

/** Where the API has it: "-" stands for no namespace. */
export function policyAt(key: string): { path: string; query: { kind: Kind } } {
  const isObservation = key.startsWith(OBSERVATION);
  const parts = (isObservation ? key.slice(OBSERVATION.length) : key).split('/');
  if (parts.length > 2 || parts.includes('')) throw new CommandError(`${key}: write ${KEY}`, EXIT.usage);
  const [name = '', namespace = '-'] = parts.reverse();
  return {
    path: `/v1/policies/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`,
    query: { kind: isObservation ? 'ContainerObservation' : 'ContainerPolicy' },
  };
}

export interface Applied {
  applied: { key: string; change: string }[];
  generation: number;
  warnings: string[];
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
  warn(done);
}

function getOne(client: Client, key: string): Promise<Policy> {
  const { path, query } = policyAt(key);
  return client.json<Policy>('GET', path, query);
}

const isPolicy = (it: Policy): boolean => it.kind !== 'ContainerObservation';
const rulesOf = (it: Policy): number | null =>
  isPolicy(it) ? (it.document.spec?.egress?.length ?? 0) + (it.document.spec?.ingress?.length ?? 0) : null;
const observesOf = ({ document }: Policy): string[] =>
  (['names', 'payload'] as const).filter((name) => document.spec?.[name] === true);

async function printYaml(found: readonly Policy[]): Promise<void> {
  // Loaded here: completion starts every command and should not wait for it.
  const { stringify } = await import('yaml');
  print(found.map((policy) => stringify(policy.document)).join('---\n'));
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
      head: ['POLICY', 'MODE', 'RULES', 'OBSERVES', 'GENERATION', 'CHANGED'],
      row: (it) => [
        { text: it.key, color: 'bold' },
        { text: it.mode ?? '-' },
        { text: String(rulesOf(it) ?? '-'), right: true },
        { text: observesOf(it).join(', ') || '-' },
        { text: String(it.generation), right: true },
        { text: localTime(it.updatedAt, now) },
      ],
      csvHead: ['policy', 'mode', 'rules', 'generation', 'changed', 'kind', 'observes'],
      csvRow: (it) => [it.key, it.mode, rulesOf(it), it.generation, it.updatedAt, it.kind, observesOf(it).join(' ')],
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
  const command = new Command('policy').description('policies and observations: apply, get, delete');
  addConnection(command.command('apply').description('create or replace all that a file holds, or nothing'))
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--dry-run', 'check, and say what would change')
    .action(apply);
  addOutput(addConnection(command.command('get').description('list policies and observations, or print one')), [
    'table',
    'yaml',
    'json',
    'jsonl',
    'csv',
  ])
    .argument('[policy]', KEY)
    .action(get);
  addConnection(command.command('delete').description('delete a policy or an observation'))
    .argument('<policy>', KEY)
    .action(remove);
  return command;
}
