#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { Command, CommanderError } from 'commander';
import { EXIT } from '../errors.js';
import { VERSION } from '../version.js';
import { CommandError } from './client.js';
import { auditCommand } from './commands/audit.js';
import { backupCommand } from './commands/backup.js';
import { caCommand } from './commands/ca.js';
import { completeCommand, completionCommand } from './commands/completion.js';
import { containersCommand } from './commands/containers.js';
import { explainCommand } from './commands/explain.js';
import { exportCommand } from './commands/export.js';
import { flowsCommand } from './commands/flows.js';
import { listenersCommand } from './commands/listeners.js';
import { loginCommand, logoutCommand, whoamiCommand } from './commands/login.js';
import { lookupsCommand } from './commands/lookups.js';
import { lossesCommand } from './commands/losses.js';
import { mapCommand } from './commands/map.js';
import { nodeCommand } from './commands/node.js';
import { nodesCommand } from './commands/nodes.js';
import { observeCommand } from './commands/observe.js';
import { allowCommand, denyCommand } from './commands/one_line.js';
import { policyCommand } from './commands/policy.js';
import { proposalsCommand } from './commands/proposals.js';
import { restoreCommand } from './commands/restore.js';
import { serverCommand } from './commands/server.js';
import { statusCommand } from './commands/status.js';
import { tokenCommand } from './commands/token.js';
import { whoCommand } from './commands/who.js';
import { EXIT_CODES } from './shared.js';

const COMMANDS = [
  flowsCommand,
  exportCommand,
  whoCommand,
  mapCommand,
  lookupsCommand,
  listenersCommand,
  containersCommand,
  nodesCommand,
  lossesCommand,
  nodeCommand,
  caCommand,
  denyCommand,
  allowCommand,
  observeCommand,
  policyCommand,
  proposalsCommand,
  explainCommand,
  loginCommand,
  logoutCommand,
  whoamiCommand,
  tokenCommand,
  auditCommand,
  statusCommand,
  serverCommand,
  backupCommand,
  restoreCommand,
  completionCommand,
];

function program(): Command {
  const main = new Command('cellwall')
    .description('a firewall and a flow log for every container')
    .version(VERSION)
    .addHelpText('after', EXIT_CODES)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'cellwall: ')) })
    .showHelpAfterError("('cellwall --help' and 'cellwall COMMAND --help' list what there is)");
  for (const make of COMMANDS) main.addCommand(make());
  main.addCommand(completeCommand(), { hidden: true });
  const each = (command: Command): void => {
    command
      .exitOverride()
      .configureOutput(main.configureOutput())
      .showHelpAfterError(`('${command.name()} --help' lists what there is)`);
    command.commands.forEach(each);
  };
  main.exitOverride();
  main.commands.forEach(each);
  return main;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`cellwall: ${message}\n`);
  if (!(error instanceof CommandError)) return EXIT.failure;
  for (const { where, message: detail } of error.details) process.stderr.write(`  ${where}: ${detail}\n`);
  return error.exit;
}

// `cellwall flows | head` ends when head does.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failure),
);

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
