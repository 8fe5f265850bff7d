// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import { FAILURES, type Flow, PAYLOADS, PROTOCOLS } from '../../flows/record.js';
import type { Client, Query } from '../client.js';
import { FLOW_CSV_HEAD, flowCsv, flowListing, flowRow } from '../flow_listing.js';
import { csvLine, table, useColor } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';
import { flowShowCommand } from './flow_show.js';

const FILTERS = [
  'container',
  'pod',
  'namespace',
  'node',
  'since',
  'until',
  'verdict',
  'direction',
  'protocol',
  'peer',
  'port',
  'service',
  'name',
  'payload',
  'end',
  'failure',
  'from',
  'to',
] as const;

type Options = ConnectionOptions &
  Partial<Record<(typeof FILTERS)[number], string>> & {
    readonly not: string[];
    readonly plaintext?: boolean;
    readonly open: string;
    readonly limit: string;
    readonly cursor?: string;
    readonly follow?: boolean;
    readonly output: Output;
  };

/** Widths of what was printed before, so that the lines of a stream stay in their columns. */
async function follow(client: Client, query: Query, output: Output): Promise<void> {
  if (output === 'csv') print(csvLine(FLOW_CSV_HEAD));
  const widths = [8, 24, 26, 20, 30, 9, 7, 8, 7, 6];
  for await (const line of client.lines('/v1/flows/stream', query)) {
    const flow = JSON.parse(line) as Flow;
    if (output === 'json' || output === 'jsonl') print(`${line}\n`);
    else if (output === 'csv') print(csvLine(flowCsv(flow)));
    else {
      const cells = flowRow(flow, new Date()).map((cell, index) => {
        const width = Math.max(widths[index] ?? 0, cell.text.length);
        widths[index] = width;
        return { ...cell, text: cell.right ? cell.text.padStart(width) : cell.text.padEnd(width) };
      });
      print(
        table(
          cells.map(() => ''),
          [cells],
          useColor(process.stdout),
        )
          .split('\n')
          .slice(1)
          .join('\n'),
      );
    }
  }
}

async function run(options: Options): Promise<void> {
  const client = connect(options);
  const query = {
    ...Object.fromEntries(FILTERS.map((name) => [name, options[name]])),
    ...(options.plaintext && { plaintext: 'true' }),
    not: options.not,
  };
  if (options.follow) return follow(client, query, options.output);
  const page = await client.json<{ flows: Flow[]; nextCursor: string | null }>('GET', '/v1/flows', {
    ...query,
    open: options.open,
    limit: options.limit,
    cursor: options.cursor,
  });
  printListing(flowListing(page.flows, page.nextCursor), options.output);
  if (page.nextCursor && options.output !== 'json') process.stderr.write(`more: add --cursor ${page.nextCursor}\n`);
}

const EXAMPLES = `
Examples:
  cellwall flows --container shop/web/malware --verdict denied --since 1h
  cellwall flows --from shop/web/nginx --to shop/db/postgres --port 5432
  cellwall flows --namespace shop --plaintext --not peer=10.0.0.0/8
  cellwall flows --name '*.stripe.com' -o csv
  cellwall flows --follow --verdict denied
  cellwall flows show 2026-03-02-17`;

const collect = (value: string, before: string[]): string[] => [...before, value];
const CONTAINER = 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or cgroup:ID';

export function flowsCommand(): Command {
  const command = new Command('flows')
    .description('what containers talked to, and what was refused by which rule')
    .option('-c, --container <name>', `${CONTAINER}; * stands for any text`)
    .option('-p, --pod <name>', 'pod')
    .option('-n, --namespace <name>', 'namespace')
    .option('--node <name>', 'node')
    .option('--from <end>', 'who began: a container, as above, or an address, CIDR or ADDRESS:PORT')
    .option('--to <end>', 'who was reached, as --from')
    .option('--since <time>', 'not before: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--until <time>', 'not after')
    .addOption(new Option('--verdict <verdict>', 'what was decided').choices(['allowed', 'denied', 'audit']))
    .addOption(new Option('--direction <direction>', 'who began').choices(['egress', 'ingress']))
    .option('--protocol <protocol>', `${Object.keys(PROTOCOLS).join(', ')} or a number`)
    .option('--peer <address>', 'the other end: address, CIDR, ADDRESS:PORT, [V6]:PORT or :PORT; also as backend')
    .option('--port <port>', 'port of the server')
    .option('--service <service>', 'ADDRESS or ADDRESS:PORT that was asked for and translated to a backend')
    .option('--name <dns-name>', 'domain name or server name of TLS; * stands for any text')
    .addOption(new Option('--payload <protocol>', 'what it carries').choices(PAYLOADS.slice(1).map(({ name }) => name)))
    .option('--plaintext', 'what everybody on the way can read')
    .addOption(new Option('--end <reason>', 'how it ended').choices(['closed', 'denied', 'failed', 'reset', 'idle']))
    .addOption(new Option('--failure <reason>', 'why it failed').choices(FAILURES.slice(1)))
    .option(
      '--not <filter=value>',
      'leave out what a filter matches, such as verdict=denied; may be repeated',
      collect,
      [],
    )
    .addOption(
      new Option('--open <how>', 'flows that are still open')
        .choices(['include', 'exclude', 'only'])
        .default('include'),
    )
    .option('--limit <count>', 'how many, at most 1000', '100')
    .option('--cursor <cursor>', 'go on where a page ended')
    .option('-f, --follow', 'print flows as they come, until interrupted')
    .addHelpText('after', EXAMPLES);
  return addOutput(addConnection(command)).action(run).addCommand(flowShowCommand());
}
