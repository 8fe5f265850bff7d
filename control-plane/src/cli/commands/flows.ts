// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import type { Flow } from '../../flows/record.js';
import { type Client, CommandError, type Query } from '../client.js';
import { addFilters, type FilterOptions, filterQuery } from '../flow_filters.js';
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

type Options = ConnectionOptions &
  FilterOptions & {
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

async function run(workload: string | undefined, given: Options): Promise<void> {
  if (workload !== undefined && given.workload !== undefined)
    throw new CommandError(`name one workload: "${workload}" or --workload "${given.workload}"`, EXIT.usage);
  const options = workload === undefined ? given : { ...given, workload };
  const client = connect(options);
  const query = filterQuery(options);
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
  cellwall flows deploy/web -n shop -c nginx --follow
  cellwall flows --from shop/web/nginx --to shop/db/postgres --port 5432
  cellwall flows --namespace shop --plaintext --not peer=10.0.0.0/8
  cellwall flows --name '*.stripe.com' -o csv
  cellwall flows --follow --verdict denied
  cellwall flows show 2026-03-02-17`;

export function flowsCommand(): Command {
  const command = addFilters(
    new Command('flows').description('what containers talked to, and what was refused by which rule'),
  )
    .argument('[workload]', 'as --workload')
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
