// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type AuditEntry, type Broken, ChainCheck, type Head, headText, readHead } from '../../audit/chain.js';
import { EXIT } from '../../errors.js';
import { CommandError } from '../client.js';
import { localTime } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';

interface Entry {
  number: number;
  time: string;
  timeUs: number;
  actor: string;
  action: string;
  subject: string;
  details: Record<string, unknown>;
  hash: string;
}

interface ListOptions extends ConnectionOptions {
  since?: string;
  until?: string;
  actor?: string;
  action?: string;
  limit: string;
  output: Output;
}

/** The details that fit a line. */
function shortDetails(details: Entry['details']): string {
  const { document: _, sha256: __, ...rest } = details;
  const text = Object.entries(rest)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
  return text.length > 100 ? `${text.slice(0, 99)}…` : text || '-';
}

async function list(options: ListOptions): Promise<void> {
  const { since, until, actor, action, limit } = options;
  const query = { since, until, actor, action, limit };
  const { entries, head } = await connect(options).json<{ entries: Entry[]; head: string }>('GET', '/v1/audit', query);
  const now = new Date();
  printListing(
    {
      name: 'entries',
      items: entries,
      extra: { head },
      head: ['NUMBER', 'TIME', 'WHO', 'WHAT', 'TO', 'DETAILS'],
      row: (it) => [
        { text: String(it.number), right: true },
        { text: localTime(it.time, now) },
        { text: it.actor, color: 'bold' },
        { text: it.action, color: it.action === 'access.denied' ? 'red' : undefined },
        { text: it.subject || '-' },
        { text: shortDetails(it.details) },
      ],
      csvHead: ['number', 'time', 'actor', 'action', 'subject', 'details', 'hash'],
      csvRow: (it) => [it.number, it.time, it.actor, it.action, it.subject, JSON.stringify(it.details), it.hash],
      empty: 'nothing of that in the audit log',
    },
    options.output,
  );
}

async function exportAll(options: ConnectionOptions): Promise<void> {
  for await (const line of connect(options).lines('/v1/audit/export', {})) print(`${line}\n`);
}

function head(text: string): Head {
  const found = readHead(text);
  if (!found) throw new InvalidArgumentError("give COUNT:HASH, as 'cellwall status' shows it.");
  return found;
}

function report(head: string, broken: { number: number; time: string | null; what: string } | null): void {
  if (!broken) {
    print(`the audit log holds, up to ${head}\n`);
    return;
  }
  const when = broken.time === null ? '' : ` of ${broken.time}`;
  throw new CommandError(
    `the audit log is broken at number ${broken.number}${when}: ${broken.what}; it holds up to ${head}`,
    EXIT.failure,
  );
}

/** Without a server. */
async function verifyFile(file: string, wanted: Head | undefined): Promise<void> {
  const check = new ChainCheck(wanted);
  const input = file === '-' ? process.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) =>
    input.once('error', (error: Error) => reject(new CommandError(`${file}: ${error.message}`, EXIT.usage))),
  );
  const walk = async () => {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line === '') continue;
      let entry: AuditEntry;
      try {
        entry = JSON.parse(line) as AuditEntry;
      } catch {
        throw new CommandError(
          `${file}: the line behind number ${check.head.count} is no entry of an audit log; 'cellwall audit export' writes them`,
          EXIT.failure,
        );
      }
      if (!check.next(entry)) break;
    }
  };
  await Promise.race([walk(), failed]);
  const broken: Broken | null = check.end();
  report(
    headText(check.head),
    broken && {
      ...broken,
      time: broken.timeUs === null ? null : new Date(broken.timeUs / 1000).toISOString(),
    },
  );
}

async function verify(options: ConnectionOptions & { file?: string; head?: Head }): Promise<void> {
  if (options.file !== undefined) return verifyFile(options.file, options.head);
  const found = await connect(options).json<{
    head: string;
    broken: { number: number; time: string | null; what: string } | null;
  }>('GET', '/v1/audit/verification', { head: options.head && headText(options.head) });
  report(found.head, found.broken);
}

export function auditCommand(): Command {
  const command = new Command('audit').description('who changed what, and who was denied: list, verify, export');
  addOutput(addConnection(command.command('list').description('entries, newest first')))
    .option('--since <time>', 'not before: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--until <time>', 'not after')
    .option('--actor <who>', 'as "token:alice:*"; * stands for any text')
    .option('--action <what>', 'as "policy.*", "access.denied"')
    .option('--limit <entries>', 'at most', '100')
    .action(list);
  addConnection(command.command('verify').description('prove that nothing was changed, or name the first broken link'))
    .option('-f, --file <file>', "what 'cellwall audit export' has written, in place of the server")
    .addOption(
      new Option('--head <head>', 'COUNT:HASH that was noted once: the log has to have come by there').argParser(head),
    )
    .action(verify);
  addConnection(command.command('export').description('the whole log, one JSON object per line')).action(exportAll);
  return command;
}
