// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { localTime } from '../format.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, printListing } from '../shared.js';

interface Lookup {
  readonly container: string;
  readonly node: string;
  readonly minute: string;
  readonly name: string;
  readonly type: string;
  readonly result: string;
  readonly count: number;
  readonly addresses: string[];
}

interface Options extends ConnectionOptions {
  readonly container?: string;
  readonly pod?: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly since?: string;
  readonly until?: string;
  readonly name?: string;
  readonly failed?: boolean;
  readonly limit: string;
  readonly output: Output;
}

async function run(options: Options): Promise<void> {
  const { container, pod, namespace, node, since, until, name, limit } = options;
  const query = {
    container,
    pod,
    namespace,
    node,
    since,
    until,
    name,
    limit,
    ...(options.failed && { failed: 'true' }),
  };
  const { lookups } = await connect(options).json<{ lookups: Lookup[] }>('GET', '/v1/lookups', query);
  const now = new Date();
  printListing(
    {
      name: 'lookups',
      items: lookups,
      head: ['MINUTE', 'CONTAINER', 'NAME', 'TYPE', 'RESULT', 'COUNT', 'ADDRESSES'],
      row: (it) => [
        { text: localTime(it.minute, now) },
        { text: it.container, color: 'bold' },
        { text: it.name || '-' },
        { text: it.type },
        { text: it.result, color: it.result === 'answered' ? undefined : 'yellow' },
        { text: String(it.count), right: true },
        { text: it.addresses.join(', ') || '-' },
      ],
      csvHead: ['minute', 'container', 'node', 'name', 'type', 'result', 'count', 'addresses'],
      csvRow: (it) => [it.minute, it.container, it.node, it.name, it.type, it.result, it.count, it.addresses.join(' ')],
      empty: "no look-ups match; names are read of containers that are observed, see 'cellwall observe --help'",
    },
    options.output,
  );
}

export function lookupsCommand(): Command {
  const command = new Command('lookups')
    .description('names that containers asked for, and how they were answered')
    .option('-c, --container <name>', 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or cgroup:ID')
    .option('-p, --pod <name>', 'pod')
    .option('-n, --namespace <name>', 'namespace')
    .option('--node <name>', 'node')
    .option('--since <time>', '2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--until <time>', 'not after')
    .option('--name <dns-name>', 'name; * stands for any text')
    .option('--failed', 'only what got no answer')
    .option('--limit <count>', 'how many, at most 1000', '100');
  return addOutput(addConnection(command)).action(run);
}
