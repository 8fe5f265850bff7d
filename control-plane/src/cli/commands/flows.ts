// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import type { Flow } from '../../flows/record.js';
import type { Client } from '../client.js';
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

interface Options extends ConnectionOptions {
  readonly container?: string;
  readonly pod?: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly from?: string;
  readonly to?: string;
  readonly verdict?: string;
  readonly direction?: string;
  readonly protocol?: string;
  readonly peer?: string;
  readonly end?: string;
  readonly open: string;
  readonly limit: string;
  readonly cursor?: string;
  readonly follow?: boolean;
  readonly output: Output;
}

const FILTERS = [
  'container',
  'pod',
  'namespace',
  'node',
  'from',
  'to',
  'verdict',
  'direction',
  'protocol',
  'peer',
  'end',
] as const;

/** Widths of what was printed before, so that the lines of a stream stay in their columns. */
async function follow(client: Client, query: Record<string, string | undefined>, output: Output): Promise<void> {
  if (output === 'csv') print(csvLine(FLOW_CSV_HEAD));
  const widths = [8, 24, 26, 30, 7, 8, 7, 6];
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
  const query = Object.fromEntries(FILTERS.map((name) => [name, options[name]]));
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

export function flowsCommand(): Command {
  const command = new Command('flows')
    .description('what containers talked to, and what was refused by which rule')
    .option('-c, --container <name>', 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or cgroup:ID')
    .option('-p, --pod <name>', 'pod')
    .option('-n, --namespace <name>', 'namespace')
    .option('--node <name>', 'node')
    .option('--from <time>', 'not before: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--since <time>', 'the same as --from')
    .option('--to <time>', 'not after')
    .option('--verdict <verdict>', 'allowed, denied or audit')
    .option('--direction <direction>', 'egress or ingress')
    .option('--protocol <protocol>', 'tcp, udp or a number')
    .option('--peer <address>', 'address, CIDR, ADDRESS:PORT, [V6]:PORT or :PORT')
    .option('--end <reason>', 'closed, denied, failed, reset or idle')
    .addOption(
      new Option('--open <how>', 'flows that are still open')
        .choices(['include', 'exclude', 'only'])
        .default('include'),
    )
    .option('--limit <count>', 'how many, at most 1000', '100')
    .option('--cursor <cursor>', 'go on where a page ended')
    .option('-f, --follow', 'print flows as they come, until interrupted')
    .addHelpText(
      'after',
      `
Examples:
  cellwall flows --container shop/web/malware --verdict denied --since 1h
  cellwall flows --namespace shop --peer 10.0.0.5:1433 -o csv
  cellwall flows --follow --verdict denied`,
    );
  return addOutput(addConnection(command)).action((options: Options & { since?: string }) =>
    run({ ...options, ...(options.since !== undefined && { from: options.since }) }),
  );
}
