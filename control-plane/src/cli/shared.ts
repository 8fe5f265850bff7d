// SPDX-License-Identifier: Apache-2.0
//
// What commands have in common: connection, output, errors. The one place that reads the environment.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CellwallError, ERRORS, EXIT } from '../errors.js';
import { Client, CommandError, readInput } from './client.js';
import { credentialOf } from './credentials.js';
import { type Cell, csvLine, table, useColor } from './format.js';

export const DEFAULT_SERVER = 'http://127.0.0.1:7481';
export type Output = 'table' | 'json' | 'jsonl' | 'csv';

export const EXIT_CODES = `
Exit codes:
  ${EXIT.ok}  done
  ${EXIT.failure}  failed for another reason
  ${EXIT.usage}  wrong usage: flags, arguments, files that cannot be read
  ${EXIT.unreachable}  the server cannot be reached
  ${EXIT.notFound}  there is no such thing
  ${EXIT.refused}  the server refused the input: a policy, a filter
  ${EXIT.unavailable}  the server cannot do it now`;

/** Reads an option. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('give a whole number from 1.');
  return value;
}

/** For commands that do the server's work themselves. */
export function asCommandError(error: unknown): never {
  if (error instanceof CellwallError) throw new CommandError(error.message, ERRORS[error.code].exit, error.details);
  throw error;
}

export function addConnection(command: Command): Command {
  return command
    .addOption(new Option('--server <url>', 'address of the server').env('CELLWALL_SERVER').default(DEFAULT_SERVER))
    .addOption(
      new Option('--token <token>', "token for the server, in place of that of 'cellwall login'").env('CELLWALL_TOKEN'),
    )
    .addOption(new Option('--tls-ca <file>', "authority of the server's certificate").env('CELLWALL_CA'));
}

export function addOutput(command: Command, formats: readonly string[] = ['table', 'json', 'jsonl', 'csv']): Command {
  return command.addOption(new Option('-o, --output <format>', 'how to print').choices(formats).default('table'));
}

export interface ConnectionOptions {
  readonly server: string;
  readonly token?: string;
  readonly tlsCa?: string;
}

/** What is given goes before what `cellwall login` has kept. */
export function connect({ server, token, tlsCa }: ConnectionOptions, timeoutMs?: number): Client {
  const kept = credentialOf(server);
  const ca = tlsCa ? readInput(tlsCa) : kept?.ca;
  return new Client({ server, token: token ?? kept?.token, ca, ...(timeoutMs !== undefined && { timeoutMs }) });
}

export interface Listing<T> {
  /** Of the JSON object. */
  readonly name: string;
  readonly items: readonly T[];
  readonly extra?: Record<string, unknown>;
  readonly head: readonly string[];
  readonly row: (item: T) => Cell[];
  readonly csvHead: readonly string[];
  readonly csvRow: (item: T) => (string | number | null)[];
  readonly empty: string;
}

export function print(text: string): void {
  process.stdout.write(text);
}

function render<T>(listing: Listing<T>, output: Output): string {
  if (output === 'json') return `${JSON.stringify({ [listing.name]: listing.items, ...listing.extra }, null, 2)}\n`;
  if (output === 'jsonl') return listing.items.map((item) => `${JSON.stringify(item)}\n`).join('');
  if (output === 'csv')
    return csvLine(listing.csvHead) + listing.items.map((item) => csvLine(listing.csvRow(item))).join('');
  if (listing.items.length === 0) return `${listing.empty}\n`;
  return table(listing.head, listing.items.map(listing.row), useColor(process.stdout));
}

export function printListing<T>(listing: Listing<T>, output: Output): void {
  print(render(listing, output));
}
