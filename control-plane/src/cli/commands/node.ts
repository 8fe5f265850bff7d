// SPDX-License-Identifier: Apache-2.0
import { Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../../duration.js';
import { localTime } from '../format.js';
import { offline } from '../offline.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';

interface JoinToken {
  readonly id: string;
  readonly node: string | null;
  readonly created: string;
  readonly expires: string;
  readonly state: string;
  readonly usedBy: string | null;
}

function duration(text: string): string {
  if (parseDuration(text) === undefined) throw new InvalidArgumentError('give it as 15m, 2h or 1d.');
  return text;
}

async function runCreate(
  options: ConnectionOptions & { node?: string; expires: string; data?: string; output: Output },
): Promise<void> {
  const { node, expires, data, output, ...connection } = options;
  const made =
    data === undefined
      ? await connect(connection).json<{ id: string; token: string; expires: string }>('POST', '/v1/join-tokens', {
          node,
          expires,
        })
      : await offline((it) => it.createJoinToken(data, node, parseDuration(expires) ?? 0));
  // Alone on standard output: it goes into a file.
  print(output === 'json' ? `${JSON.stringify(made, null, 2)}\n` : `${made.token}\n`);
}

async function runList({ output, ...connection }: ConnectionOptions & { output: Output }): Promise<void> {
  const { tokens } = await connect(connection).json<{ tokens: JoinToken[] }>('GET', '/v1/join-tokens');
  const now = new Date();
  printListing(
    {
      name: 'tokens',
      items: tokens,
      head: ['ID', 'STATE', 'NODE', 'EXPIRES', 'USED BY'],
      row: (it) => [
        { text: it.id },
        { text: it.state, color: it.state === 'open' ? 'green' : undefined },
        { text: it.node ?? 'any' },
        { text: localTime(it.expires, now) },
        { text: it.usedBy ?? '' },
      ],
      csvHead: ['id', 'state', 'node', 'created', 'expires', 'used_by'],
      csvRow: (it) => [it.id, it.state, it.node, it.created, it.expires, it.usedBy],
      empty: "no join tokens; make one with 'cellwall node join-token create'",
    },
    output,
  );
}

async function runRevokeToken(id: string, options: ConnectionOptions): Promise<void> {
  await connect(options).json('DELETE', `/v1/join-tokens/${encodeURIComponent(id)}`);
  print(`join token ${id} lets nobody in any more\n`);
}

async function runRevoke(name: string, options: ConnectionOptions): Promise<void> {
  await connect(options).json('POST', `/v1/nodes/${encodeURIComponent(name)}/revoke`);
  print(`node ${name} is not let in any more; 'cellwall node allow ${name}' undoes that\n`);
}

async function runAllow(
  name: string,
  { newCertificate = false, ...connection }: ConnectionOptions & { newCertificate?: boolean },
): Promise<void> {
  const path = `/v1/nodes/${encodeURIComponent(name)}/allow`;
  await connect(connection).json('POST', path, { newCertificate: String(newCertificate) });
  print(`node ${name} is let in again${newCertificate ? ', when it has enrolled anew' : ''}\n`);
}

function joinTokenCommand(): Command {
  const command = new Command('join-token').description(
    'one-time tokens, with which agents get their first certificate',
  );
  command.addCommand(
    addOutput(
      addConnection(new Command('create').description('make one, and print it; it is shown once'))
        .option('--node <node>', 'the only one that may use it; needed for a node that has a certificate')
        .option('--expires <duration>', 'until when it can be used: 15m, 2h, 1d', duration, '1h')
        .option('--data <folder>', "the server's data folder, while it is off"),
      ['table', 'json'],
    ).action(runCreate),
  );
  command.addCommand(
    addOutput(addConnection(new Command('list').description('those of the last 30 days'))).action(runList),
  );
  command.addCommand(
    addConnection(
      new Command('revoke').description('it lets nobody in any more').argument('<id>', 'of the token'),
    ).action(runRevokeToken),
  );
  return command;
}

export function nodeCommand(): Command {
  const command = new Command('node').description('let agents in, and keep them out');
  command.addCommand(joinTokenCommand());
  command.addCommand(
    addConnection(
      new Command('revoke').description('end its stream, and refuse its certificates').argument('<node>', 'its name'),
    ).action(runRevoke),
  );
  command.addCommand(
    addConnection(new Command('allow').description('undo that').argument('<node>', 'its name'))
      .option('--new-certificate', 'certificates from before stay refused: the agent has to enrol anew')
      .action(runAllow),
  );
  return command;
}
