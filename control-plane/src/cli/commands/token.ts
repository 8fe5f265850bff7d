// SPDX-License-Identifier: Apache-2.0
import { Command, InvalidArgumentError, Option } from 'commander';
import { ROLES } from '../../access/roles.js';
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

interface Token {
  id: string;
  name: string;
  role: string;
  state: 'valid' | 'expired' | 'revoked';
  created: string;
  createdBy: string;
  expires: string | null;
  lastUsed: string | null;
  revoked: string | null;
}

interface Created {
  id: string;
  name: string;
  role: string;
  expires: string | null;
  token: string;
}

function days(text: string): number | null {
  if (text === 'never') return null;
  const match = /^(\d{1,4})d$/.exec(text);
  if (!match || Number(match[1]) < 1) throw new InvalidArgumentError('give days, as 90d, or "never".');
  return Number(match[1]);
}

interface CreateOptions extends ConnectionOptions {
  role: string;
  expires: number | null;
  output: Output;
}

async function create(name: string, options: CreateOptions): Promise<void> {
  const { role, expires, output } = options;
  const made = await connect(options).send<Created>('POST', '/v1/tokens', { name, role, days: expires });
  if (output === 'json') return print(`${JSON.stringify(made, null, 2)}\n`);
  const until = made.expires === null ? 'for ever' : `until ${made.expires}`;
  process.stderr.write(`token ${made.id} of ${name}, role ${role}, ${until}; it is not shown again:\n`);
  print(`${made.token}\n`);
}

async function list(options: ConnectionOptions & { output: Output; all?: boolean }): Promise<void> {
  const { tokens } = await connect(options).json<{ tokens: Token[] }>('GET', '/v1/tokens');
  const now = new Date();
  const time = (text: string | null, otherwise: string) => (text === null ? otherwise : localTime(text, now));
  printListing(
    {
      name: 'tokens',
      items: options.all ? tokens : tokens.filter(({ state }) => state === 'valid'),
      head: ['NAME', 'ID', 'ROLE', 'STATE', 'CREATED', 'BY', 'EXPIRES', 'LAST USED'],
      row: (it) => [
        { text: it.name, color: 'bold' },
        { text: it.id },
        { text: it.role },
        { text: it.state, color: it.state === 'valid' ? 'green' : 'dim' },
        { text: localTime(it.created, now) },
        { text: it.createdBy },
        { text: time(it.expires, 'never') },
        { text: time(it.lastUsed, 'never') },
      ],
      csvHead: ['name', 'id', 'role', 'state', 'created', 'created_by', 'expires', 'last_used', 'revoked'],
      csvRow: (it) => [
        it.name,
        it.id,
        it.role,
        it.state,
        it.created,
        it.createdBy,
        it.expires,
        it.lastUsed,
        it.revoked,
      ],
      empty: "no tokens; 'cellwall token create' makes one",
    },
    options.output,
  );
}

async function revoke(token: string, options: ConnectionOptions): Promise<void> {
  const done = await connect(options).json<Token>('DELETE', `/v1/tokens/${encodeURIComponent(token)}`);
  print(`token ${done.id} of ${done.name} is revoked\n`);
}

export function tokenCommand(): Command {
  const command = new Command('token').description('tokens of people and machines: create, list, revoke');
  addOutput(addConnection(command.command('create').description('make a token, and print it once')), ['table', 'json'])
    .argument('<name>', 'of whom it is')
    .addOption(
      new Option('--role <role>', 'view: see all; propose: also ask for changes; admin: also make them')
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option('--expires <days>', 'as 90d, or "never"', days, 90)
    .action(create);
  addOutput(addConnection(command.command('list').description('all tokens that are valid, without their secrets')))
    .option('--all', 'also those that have expired or were revoked')
    .action(list);
  addConnection(command.command('revoke').description('revoke a token, at once and for ever'))
    .argument('<token-name>', 'its name, or its id')
    .action(revoke);
  return command;
}
