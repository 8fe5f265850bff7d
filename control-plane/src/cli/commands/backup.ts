// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { EXIT } from '../../errors.js';
import { CommandError } from '../client.js';
import { bytes } from '../format.js';
import { addConnection, addOutput, asCommandError, type ConnectionOptions, connect, count, print } from '../shared.js';

interface Result {
  readonly folder: string;
  readonly bytes: number;
  readonly copiedBytes: number;
  readonly files: number;
  readonly seconds: number;
}

interface Backup {
  readonly running: boolean;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly result: Result | null;
  readonly error: string | null;
}

interface Options extends ConnectionOptions {
  readonly to: string;
  readonly data?: string;
  readonly rate: number;
  readonly keep: number;
  readonly output: string;
}

const ASK_MS = 200;

function progress(done: number, total: number): void {
  if (process.stderr.isTTY && total > 0)
    process.stderr.write(`\r${Math.floor((100 * done) / total)} % of ${bytes(total)} `);
}

/** By the server, into a folder of its machine. */
async function online(options: Options): Promise<Result> {
  const client = connect(options);
  const query = { to: options.to, mibPerSecond: String(options.rate), keep: String(options.keep) };
  let backup = await client.json<Backup>('PUT', '/v1/backup', query);
  while (backup.running) {
    await sleep(ASK_MS);
    const answer = await client.json<{ backup: Backup | null }>('GET', '/v1/backup');
    if (!answer.backup)
      throw new CommandError('the server was restarted during the backup: begin anew', EXIT.unavailable);
    backup = answer.backup;
    progress(backup.doneBytes, backup.totalBytes);
  }
  if (!backup.result) throw new CommandError(backup.error ?? 'the backup failed', EXIT.unavailable);
  return backup.result;
}

/** By this process, from a folder whose server is off. */
async function offline({ data = '', to, rate, keep }: Options): Promise<Result> {
  const { backupOffline } = await import('../../store/backup/offline.js');
  return backupOffline({ folder: data, to: resolve(to), mibPerSecond: rate, keep }, progress).catch(asCommandError);
}

async function run(options: Options): Promise<void> {
  const result = await (options.data === undefined ? online(options) : offline(options));
  if (process.stderr.isTTY) process.stderr.write('\r');
  if (options.output === 'json') return print(`${JSON.stringify(result, null, 2)}\n`);
  print(
    `${result.folder}: ${result.files} files, ${bytes(result.bytes)}, of which ${bytes(result.copiedBytes)} were copied in ${result.seconds.toFixed(1)} s\n`,
  );
}

export function backupCommand(): Command {
  const command = new Command('backup')
    .description('copy all flows, policies and names while the server runs')
    .requiredOption('--to <folder>', "for backups alone, on the server's machine, as a whole path")
    .option('--data <folder>', 'copy this data folder, of a server that is off')
    .option('--rate <count>', 'MiB/s that are read at most', count, 100)
    .option('--keep <count>', 'backups that are kept, this one included', count, 7);
  return addOutput(addConnection(command), ['table', 'json']).action(run);
}
