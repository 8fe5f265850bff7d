// SPDX-License-Identifier: Apache-2.0
//
// `policy propose`, and what becomes of proposals.
import { Command, Option } from 'commander';
import type { Effect } from '../../flows/effect.js';
import { readInput } from '../client.js';
import { effectSummary, printEffectLines } from '../effect_text.js';
import { facts, localTime } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';

interface Proposal {
  id: number;
  state: string;
  author: string;
  reason: string;
  documents: string[];
  created: string;
  generation: number;
  stale: boolean;
  decided: string | null;
  decidedBy: string | null;
  decidedReason: string | null;
}

interface Whole extends Proposal {
  body: string;
  effect: Effect | null;
}

function printWhole(it: Whole): void {
  print(`proposal ${it.id}, ${it.state}${it.stale ? ' (the policies have changed since its dry run)' : ''}\n`);
  print(
    facts([
      ['documents', it.documents.join(', ')],
      ['by', it.author],
      ['created', it.created],
      ['reason', it.reason || null],
      ['decided', it.decided && `${it.decided} by ${it.decidedBy}`],
      ['because', it.decidedReason || null],
    ]),
  );
  print(it.effect ? `${effectSummary(it.effect)}\n` : 'no policy changes: no dry run\n');
  if (it.effect) printEffectLines(it.effect);
}

interface ProposeOptions extends ConnectionOptions {
  file: string;
  reason?: string;
  since: string;
  output: Output;
}

async function propose({ file, reason, since, output, ...connection }: ProposeOptions): Promise<void> {
  const source = file === '-' ? 'stdin' : file;
  const query = { source, reason, since };
  const done = await connect(connection).json<Whole>('POST', '/v1/proposals', query, readInput(file));
  if (output === 'json') return print(`${JSON.stringify(done, null, 2)}\n`);
  printWhole(done);
  print(`an admin approves it with: cellwall proposals approve ${done.id}\n`);
}

export function addPropose(command: Command): void {
  addOutput(addConnection(command.description('ask for a change: says what it would do, and waits for an admin')), [
    'table',
    'json',
  ])
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--reason <text>', 'why, for who decides')
    .option('--since <time>', 'which recorded flows the change is tried on: 2026-01-02T03:04:05Z, or 1h, 1d, 7d', '1d')
    .action(propose);
}

async function list(options: ConnectionOptions & { output: Output; state: string }): Promise<void> {
  const { state, output } = options;
  const { proposals } = await connect(options).json<{ proposals: Proposal[] }>('GET', '/v1/proposals', { state });
  const now = new Date();
  printListing(
    {
      name: 'proposals',
      items: proposals,
      head: ['ID', 'STATE', 'DOCUMENTS', 'BY', 'CREATED', 'REASON'],
      row: (it) => [
        { text: String(it.id), right: true },
        { text: it.stale ? `${it.state}, stale` : it.state },
        { text: it.documents.join(', '), color: 'bold' },
        { text: it.author },
        { text: localTime(it.created, now) },
        { text: it.reason || '-' },
      ],
      csvHead: ['id', 'state', 'documents', 'author', 'created', 'reason', 'decided', 'decided_by', 'decided_reason'],
      csvRow: (it) => [
        it.id,
        it.state,
        it.documents.join(' '),
        it.author,
        it.created,
        it.reason,
        it.decided,
        it.decidedBy,
        it.decidedReason,
      ],
      empty: state === 'open' ? 'nothing waits for a decision' : 'no proposals',
    },
    output,
  );
}

async function show(id: string, options: ConnectionOptions & { output: Output | 'yaml' }): Promise<void> {
  const found = await connect(options).json<Whole>('GET', `/v1/proposals/${encodeURIComponent(id)}`);
  if (options.output === 'json') return print(`${JSON.stringify(found, null, 2)}\n`);
  if (options.output === 'yaml') return print(found.body);
  printWhole(found);
  print(`---\n${found.body}`);
}

type DecideOptions = ConnectionOptions & { reason?: string };
const decide = (id: string, what: string, { reason, ...connection }: DecideOptions) =>
  connect(connection).json<{ generation?: number }>('POST', `/v1/proposals/${encodeURIComponent(id)}/${what}`, {
    reason,
  });

export function proposalsCommand(): Command {
  const command = new Command('proposals').description(
    'changes that wait for an admin: list, show, approve, reject, withdraw',
  );
  addOutput(addConnection(command.command('list').description('proposals, newest first')))
    .addOption(
      new Option('--state <state>', 'of which state')
        .choices(['open', 'approved', 'rejected', 'withdrawn', 'all'])
        .default('open'),
    )
    .action(list);
  addOutput(addConnection(command.command('show').description('documents and dry run of one')), [
    'table',
    'yaml',
    'json',
  ])
    .argument('<proposal>', 'its number')
    .action(show);
  const deciding = (name: string, description: string, done: (id: string, generation: number) => string) =>
    addConnection(command.command(name).description(description))
      .argument('<proposal>', 'its number')
      .option('--reason <text>', 'why')
      .action(async (id: string, options: DecideOptions) => {
        const { generation = 0 } = await decide(id, name, options);
        print(done(id, generation));
      });
  deciding(
    'approve',
    'apply one, as an admin who did not propose it',
    (id, generation) => `proposal ${id} is applied\ngeneration ${generation}\n`,
  );
  deciding('reject', 'decide against one', (id) => `proposal ${id} is rejected\n`);
  deciding('withdraw', 'take back one of your own', (id) => `proposal ${id} is withdrawn\n`);
  return command;
}
