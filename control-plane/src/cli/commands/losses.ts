// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { localTime } from '../format.js';
import { LOSS_TEXTS } from '../losses.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Listing,
  type Output,
  printListing,
} from '../shared.js';

interface Loss {
  readonly node: string;
  readonly epoch: string;
  readonly reason: string;
  readonly count: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly noticed: string;
}

export function lossListing(losses: readonly Loss[], now: Date): Listing<Loss> {
  const time = (text: string | null) => ({ text: text === null ? '-' : localTime(text, now) });
  return {
    name: 'losses',
    items: losses,
    head: ['NOTICED', 'NODE', 'LOST', 'FROM', 'TO', 'WHY'],
    row: (it) => [
      time(it.noticed),
      { text: it.node, color: 'bold' },
      { text: String(it.count), right: true, color: 'red' },
      time(it.first),
      time(it.last),
      { text: LOSS_TEXTS[it.reason] ?? it.reason },
    ],
    csvHead: ['noticed', 'node', 'epoch', 'reason', 'count', 'first', 'last'],
    csvRow: (it) => [it.noticed, it.node, it.epoch, it.reason, it.count, it.first, it.last],
    empty: 'nothing was lost',
  };
}

interface Options extends ConnectionOptions {
  readonly node?: string;
  readonly since?: string;
  readonly limit: string;
  readonly output: Output;
}

async function run(options: Options): Promise<void> {
  const { node, since, limit, output } = options;
  const query = { node, since, limit };
  const { losses, more } = await connect(options).json<{ losses: Loss[]; more: boolean }>('GET', '/v1/losses', query);
  printListing(lossListing(losses, new Date()), output);
  if (more && output !== 'json') process.stderr.write(`older ones are left out; --limit shows more than ${limit}\n`);
}

export function lossesCommand(): Command {
  const command = new Command('losses')
    .description('gaps in the record: flow records that were made and are not stored, when and why')
    .option('--node <name>', 'node')
    .option('--since <time>', 'that the server heard of since: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--limit <count>', 'how many, at most 10000', '1000');
  return addOutput(addConnection(command)).action(run);
}
