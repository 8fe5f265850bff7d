// SPDX-License-Identifier: Apache-2.0
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import type { Flow } from '../../flows/record.js';
import { type Client, CommandError, type Query } from '../client.js';
import { type Sink, TextSink } from '../export/sinks.js';
import { addFilters, type FilterOptions, filterQuery } from '../flow_filters.js';
import { addConnection, type ConnectionOptions, connect } from '../shared.js';

type Format = 'jsonl' | 'csv' | 'parquet';
type Options = ConnectionOptions &
  FilterOptions & {
    readonly output: Format;
    readonly file?: string;
    readonly cursor?: string;
    readonly peers?: boolean;
    readonly world?: boolean;
  };

const PAGE = '2000';
/** A server that is restarted is waited for. */
const LONGEST_AWAY_MS = 60_000;
const RETRY_MS = 1000;

interface Page {
  readonly flows: Flow[];
  readonly nextCursor: string | null;
}

async function pageOf(client: Client, query: Query): Promise<Page> {
  const end = Date.now() + LONGEST_AWAY_MS;
  for (;;) {
    try {
      return await client.json<Page>('GET', '/v1/flows/export', query);
    } catch (error) {
      const passes = !(error instanceof CommandError) || [EXIT.unreachable, EXIT.unavailable].includes(error.exit as 3);
      if (!passes || Date.now() > end) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Returns how many. Each page is added once, whatever happens to the connection. */
async function exportAll(
  client: Client,
  query: Query,
  sink: Sink,
  from: string | undefined,
  head: object | undefined,
): Promise<number> {
  if (head) sink.begin?.(head);
  let cursor: string | null | undefined = from;
  let count = 0;
  do {
    try {
      const page: Page = await pageOf(client, { ...query, limit: PAGE, cursor: cursor ?? undefined });
      await sink.add(page.flows);
      count += page.flows.length;
      cursor = page.nextCursor;
    } catch (error) {
      if (cursor && error instanceof CommandError)
        throw new CommandError(
          `${error.message}; ${count} flows were exported: go on with --cursor ${cursor}`,
          error.exit,
        );
      throw error;
    }
  } while (cursor);
  await sink.finish();
  return count;
}

async function makeSink(format: Format, file: string | undefined): Promise<Sink> {
  if (format !== 'parquet') return new TextSink(format, file);
  if (file === undefined) throw new CommandError('-o parquet needs --file: it is no text', EXIT.usage);
  // Loaded here: no other command needs it.
  const { ParquetSink } = await import('../export/parquet.js');
  return new ParquetSink(file);
}

/** The file is there when it is whole, and not before. */
async function toFile(file: string, write: (partial: string) => Promise<number>): Promise<number> {
  const partial = `${file}.${process.pid}.partial`;
  const remove = () => rmSync(partial, { force: true });
  const interrupted = (signal: NodeJS.Signals) => {
    remove();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    try {
      closeSync(openSync(partial, 'wx', 0o600));
    } catch (error) {
      throw new CommandError(`--file ${file}: ${(error as Error).message}`, EXIT.usage);
    }
    const count = await write(partial);
    const written = openSync(partial, 'r');
    fsyncSync(written);
    closeSync(written);
    renameSync(partial, file);
    return count;
  } finally {
    remove();
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  }
}

async function run(options: Options): Promise<void> {
  if (options.world && (options.output !== 'jsonl' || options.cursor !== undefined))
    throw new CommandError('--world is for -o jsonl, from the beginning', EXIT.usage);
  const client = connect(options);
  const query = {
    ...filterQuery(options),
    // Else what arrives meanwhile would be waited for without end.
    until: options.until ?? new Date().toISOString(),
    ...(options.peers && { peers: 'true' }),
  };
  // Without --since, all that there is.
  const { since = '3650d', until } = options;
  const head = options.world
    ? await client.json<object>('GET', '/v1/world', { since, until: until ?? query.until })
    : undefined;
  const write = async (file: string | undefined) =>
    exportAll(client, query, await makeSink(options.output, file), options.cursor, head);
  const count = await (options.file === undefined ? write(undefined) : toFile(options.file, write));
  process.stderr.write(`${count} flows exported\n`);
}

const EXAMPLES = `
Examples:
  cellwall export --since 1d -o parquet --file flows.parquet
  cellwall export -o jsonl --world --since 7d --file flows.jsonl      # for 'policy simulate --from'
  cellwall export --namespace shop --verdict denied --since 7d -o csv > denied.csv

The columns are described in docs/STORE.md.`;

export function exportCommand(): Command {
  const command = addFilters(
    new Command('export').description('take all flows that match out of the store, oldest first'),
  )
    .addOption(new Option('-o, --output <format>', 'how').choices(['jsonl', 'csv', 'parquet']).default('jsonl'))
    .option('--file <file>', 'where to; it is there when it is whole. Else standard output')
    .option('--peers', 'also tell who is at the other end, and what staged policies say; slower')
    .option(
      '--world',
      "begin with one line on containers, nodes and policies, for 'policy simulate --from'; with -o jsonl",
    )
    .option('--cursor <cursor>', 'go on where an export broke off')
    .addHelpText('after', EXAMPLES);
  return addConnection(command).action(run);
}
