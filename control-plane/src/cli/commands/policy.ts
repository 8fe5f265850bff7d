// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { stringify } from 'yaml';
import { readInput } from '../client.js';
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

interface Policy {
  key: string;
  mode: string;
  generation: number;
  updatedAt: string;
  document: { spec?: { egress?: unknown[] } };
}

/** Of the API: "-" stands for no namespace. */
export function policyPath(key: string): string {
  const [name = '', namespace = '-'] = key.split('/').reverse();
  return `/v1/policies/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

export interface Applied {
  applied: { key: string; change: string }[];
  generation: number;
}

async function apply(options: ConnectionOptions & { file: string; dryRun?: boolean }): Promise<void> {
  const source = options.file === '-' ? 'stdin' : options.file;
  const query = { source, dryRun: options.dryRun ? 'true' : 'false' };
  const done = await connect(options).json<Applied>('PUT', '/v1/policies', query, readInput(options.file));
  for (const { key, change } of done.applied) print(`${key} ${change}${options.dryRun ? ' (dry run)' : ''}\n`);
  print(options.dryRun ? 'nothing was changed\n' : `generation ${done.generation}\n`);
}

async function get(key: string | undefined, options: ConnectionOptions & { output: Output | 'yaml' }): Promise<void> {
  const client = connect(options);
  const found =
    key === undefined
      ? (await client.json<{ policies: Policy[] }>('GET', '/v1/policies')).policies
      : [await client.json<Policy>('GET', policyPath(key))];
  if (options.output === 'yaml' || (key !== undefined && options.output === 'table'))
    return print(found.map((policy) => stringify(policy.document)).join('---\n'));
  const now = new Date();
  printListing(
    {
      name: 'policies',
      items: found,
      head: ['POLICY', 'MODE', 'RULES', 'GENERATION', 'CHANGED'],
      row: (it) => [
        { text: it.key, color: 'bold' },
        { text: it.mode },
        { text: String(it.document.spec?.egress?.length ?? 0), right: true },
        { text: String(it.generation), right: true },
        { text: localTime(it.updatedAt, now) },
      ],
      csvHead: ['policy', 'mode', 'rules', 'generation', 'changed'],
      csvRow: (it) => [it.key, it.mode, it.document.spec?.egress?.length ?? 0, it.generation, it.updatedAt],
      empty: 'no policies; everything is allowed and recorded',
    },
    options.output as Output,
  );
}

async function remove(key: string, options: ConnectionOptions): Promise<void> {
  const { generation } = await connect(options).json<{ generation: number }>('DELETE', policyPath(key));
  print(`${key} deleted\ngeneration ${generation}\n`);
}

export function policyCommand(): Command {
  const command = new Command('policy').description('policies: apply, get, delete');
  addConnection(command.command('apply').description('create or replace all policies of a file, or none'))
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--dry-run', 'check, and say what would change')
    .action(apply);
  addOutput(addConnection(command.command('get').description('list policies, or print one')), [
    'table',
    'yaml',
    'json',
    'jsonl',
    'csv',
  ])
    .argument('[key]', 'NAMESPACE/NAME')
    .action(get);
  addConnection(command.command('delete').description('delete a policy'))
    .argument('<key>', 'NAMESPACE/NAME')
    .action(remove);
  return command;
}
