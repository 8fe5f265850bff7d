// SPDX-License-Identifier: Apache-2.0
import { Argument, Command } from 'commander';
import { type Candidates, candidates } from '../completion/candidates.js';
import { SCRIPTS, type Shell } from '../completion/scripts.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';

/** A shell waits for the answer; a server that takes longer is taken as away. */
const LONGEST_MS = 500;
/** Names are chosen by others: what the shell would read as more than a word is not offered. */
const PLAIN = /^[\w.:/@%+,=-]+$/;

async function hinted(found: Candidates, options: ConnectionOptions): Promise<string[]> {
  const { hint, server = options.server, token = options.token } = found;
  if (!hint) return [];
  try {
    const client = connect({ ...options, server, ...(token !== undefined && { token }) }, LONGEST_MS);
    const { field, prefix, before } = hint;
    const { values } = await client.json<{ values: string[] }>('GET', '/v1/hints', { field, prefix });
    return values.filter((value) => PLAIN.test(value)).map((value) => before + value);
  } catch {
    return [];
  }
}

/** Says nothing about what goes wrong: somebody is in the middle of a line. */
async function complete(words: string[], options: ConnectionOptions, command: Command): Promise<void> {
  const found = candidates(command.parent ?? command, words);
  const lines = found.files ? [':files'] : [...found.words, ...(await hinted(found, options))];
  // Without waiting for connections that are still being looked for.
  process.stdout.write(lines.map((line) => `${line}\n`).join(''), () => process.exit());
}

/** Hidden: what the scripts call. */
export function completeCommand(): Command {
  return addConnection(new Command('__complete').argument('[words...]')).action(complete);
}

export function completionCommand(): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and what the server knows')
    .addArgument(new Argument('<shell>', 'whose').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Names of containers, namespaces, pods, nodes and policies come from the server of CELLWALL_SERVER, or of --server in the line.

Examples:
  source <(cellwall completion bash)                                      # in ~/.bashrc
  cellwall completion zsh > "\${fpath[1]}/_cellwall"
  cellwall completion fish > ~/.config/fish/completions/cellwall.fish`,
    )
    .action((shell: Shell) => print(SCRIPTS[shell]));
}
