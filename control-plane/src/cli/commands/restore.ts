// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { EXIT } from '../../errors.js';
import { CommandError } from '../client.js';
import { bytes } from '../format.js';
import { asCommandError, print } from '../shared.js';

interface Options {
  readonly from: string;
  readonly data?: string;
  readonly check?: boolean;
}

async function run({ from, data, check }: Options): Promise<void> {
  if ((data === undefined) === (check !== true))
    throw new CommandError('give --data, for the folder to be made, or --check', EXIT.usage);
  const { restore } = await import('../../store/backup/restore.js');
  const done = await restore(from, data).catch(asCommandError);
  const what = `${done.backup}: ${done.files} files, ${bytes(done.bytes)}, of ${done.createdAt}`;
  print(data === undefined ? `${what}: whole\n` : `${what}: restored; start it with: cellwall server --data ${data}\n`);
}

export function restoreCommand(): Command {
  return new Command('restore')
    .description('make a data folder of a backup, or see whether it is whole')
    .requiredOption('--from <folder>', 'a backup, or a folder of them: the newest')
    .option('--data <folder>', 'to be made; must not be there yet, or be empty')
    .option('--check', 'only read the backup')
    .action(run);
}
