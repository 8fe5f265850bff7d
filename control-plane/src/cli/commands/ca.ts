// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { offline } from '../offline.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, print } from '../shared.js';

interface Authority {
  readonly subject: string;
  readonly role: string;
  readonly sha256: string;
  readonly publicKeySha256: string;
  readonly from: string;
  readonly until: string;
  readonly certificate: string;
}

interface Options extends ConnectionOptions {
  readonly data?: string;
  readonly output: Output;
}

const DATA = ['--data <folder>', "the server's data folder, while it is off"] as const;
const FORMATS = ['table', 'json'];

function show(authorities: readonly Authority[], output: Output, more: readonly string[] = []): void {
  if (output === 'json') {
    print(`${JSON.stringify({ authorities }, null, 2)}\n`);
    return;
  }
  for (const it of authorities)
    print(
      `subject     ${it.subject} (${it.role})\nsha256      ${it.sha256}\npublic key  ${it.publicKeySha256}\n` +
        `valid       ${it.from} to ${it.until}\n${it.certificate}\n`,
    );
  for (const line of more) print(`${line}\n`);
}

async function runInit(options: { data: string; output: Output }): Promise<void> {
  show(await offline((it) => it.initAuthority(options.data)), options.output);
}

async function runShow({ data, output, ...connection }: Options): Promise<void> {
  if (data !== undefined) return show(await offline((it) => it.showAuthority(data)), output);
  const answer = await connect(connection).json<{
    authorities: Authority[];
    server: { names: string; until: string };
    behind: string[];
  }>('GET', '/v1/ca');
  show(answer.authorities, output, [
    `The server's certificate is for ${answer.server.names}, until ${answer.server.until}.`,
    ...(answer.behind.length > 0
      ? [`Nodes with certificates of the authority that is replaced: ${answer.behind.join(', ')}.`]
      : []),
  ]);
}

async function runRotate(options: Options & { finish?: boolean; force?: boolean }): Promise<void> {
  const { data, output, finish = false, force = false, ...connection } = options;
  if (data !== undefined)
    return show(await offline((it) => (finish ? it.finishRotation(data, force) : it.rotateAuthority(data))), output);
  const client = connect(connection);
  if (!finish) {
    const made = await client.json<Authority>('POST', '/v1/ca/rotate');
    return show([made], output, [
      'It signs from here on, and both are trusted. Agents renew by themselves; then end it with: cellwall ca rotate --finish',
    ]);
  }
  const { dropped } = await client.json<{ dropped: string }>('POST', '/v1/ca/finish', { force: String(force) });
  print(output === 'json' ? `${JSON.stringify({ dropped })}\n` : `${dropped} is trusted no more\n`);
}

export function caCommand(): Command {
  const command = new Command('ca').description("the server's authority, which signs certificates of agents");
  command.addCommand(
    addOutput(
      new Command('init')
        .description('make one in a data folder, before the server starts for the first time')
        .option('--data <folder>', 'of the server', './cellwall-data'),
      FORMATS,
    ).action(runInit),
  );
  command.addCommand(
    addOutput(
      addConnection(new Command('show').description('subject, fingerprints, validity, certificate')).option(...DATA),
      FORMATS,
    ).action(runShow),
  );
  command.addCommand(
    addOutput(
      addConnection(new Command('rotate').description('replace it without an outage, in two steps'))
        .option(...DATA)
        .option('--finish', 'the second step: the one that was replaced is trusted no more')
        .option('--force', 'with --finish: even if agents have to enrol anew'),
      FORMATS,
    ).action(runRotate),
  );
  return command;
}
