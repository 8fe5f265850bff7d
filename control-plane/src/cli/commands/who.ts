// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import type { Flow } from '../../flows/record.js';
import { CommandError } from '../client.js';
import { flowListing } from '../flow_listing.js';
import { localTime, table, useColor } from '../format.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';
import { type Listener, listenerListing } from './listeners.js';

interface Answer {
  readonly at: string;
  readonly callers: Flow[];
  readonly listeners: Listener[];
  readonly called: Flow[];
}

interface Options extends ConnectionOptions {
  readonly at?: string;
  readonly protocol?: string;
  readonly slack: string;
  readonly output: 'table' | 'json';
}

function section(title: string, text: string): void {
  print(`${title}\n${text}\n`);
}

function flowTable(flows: readonly Flow[]): string {
  const { head, row } = flowListing(flows, null);
  return table(head, flows.map(row), useColor(process.stdout));
}

function process_(flow: Flow): string {
  return flow.process ? `, process ${flow.process.name} (${flow.process.id})` : '';
}

function show(address: string, answer: Answer): void {
  const when = localTime(answer.at, new Date());
  const [first] = answer.callers;
  if (first) {
    print(`${address} at ${when} was ${first.container.name} on ${first.node}${process_(first)}\n\n`);
    section('began there:', flowTable(answer.callers));
  }
  if (answer.listeners.length > 0) {
    const { head, row } = listenerListing(answer.listeners);
    section('accepts there:', table(head, answer.listeners.map(row), useColor(process.stdout)));
  }
  if (answer.called.length > 0) section('were on their way there:', flowTable(answer.called));
}

async function run(address: string, options: Options): Promise<void> {
  const { at, protocol, slack } = options;
  const answer = await connect(options).json<Answer>('GET', '/v1/who', { address, at, protocol, slack });
  if (options.output === 'json') print(`${JSON.stringify(answer, null, 2)}\n`);
  else show(address, answer);
  if (answer.callers.length + answer.listeners.length + answer.called.length === 0)
    throw new CommandError(
      `nobody is known to have been at ${address} at ${answer.at}; --slack 60 allows for a clock that is a minute off`,
      EXIT.notFound,
    );
}

export function whoCommand(): Command {
  const command = new Command('who')
    .description(
      'which container was behind an address and port at a time, also behind NAT; who answered for a service',
    )
    .argument('<address:port>', '10.0.0.5:40123 or [fd00::5]:40123')
    .option('--at <time>', '2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago; now')
    .option('--protocol <protocol>', 'tcp or udp')
    .option('--slack <seconds>', 'by which the clock of the log may be off', '2')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  cellwall who 192.0.2.10:40123 --at 2026-01-02T03:04:05Z      what the firewall's log names
  cellwall who 10.96.0.10:5432                                 who answers for a service`,
    );
  return addConnection(command).action(run);
}
