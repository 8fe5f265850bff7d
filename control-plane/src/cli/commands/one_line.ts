// SPDX-License-Identifier: Apache-2.0
//
// `deny` and `allow`: one line that writes a policy.
import { Command, Option } from 'commander';
import type { Action, Options } from '../one_line_policy.js';
import { addConnection, connect, print } from '../shared.js';
import { collect, podLabelOption } from '../subject.js';
import { type Applied, printApplied } from './policy.js';

async function run(action: Action, options: Options): Promise<void> {
  // Loaded here, as yaml: completion starts every command and should not wait for them.
  const { makePolicy } = await import('../one_line_policy.js');
  const { stringify } = await import('yaml');
  const policy = makePolicy(action, options);
  const query = { source: action === 'Deny' ? 'deny' : 'allow', dryRun: options.dryRun ? 'true' : 'false' };
  const text = stringify(policy);
  const done = await connect(options).json<Applied>('PUT', '/v1/policies', query, text);
  printApplied(text, done, options.dryRun);
  if (options.dryRun) return;
  if (action === 'Accept')
    print(`the container is isolated now: what no rule allows is ${options.audit ? 'marked as audit' : 'refused'}\n`);
  print(`take it back: cellwall policy delete ${done.applied[0]?.key}\n`);
}

function oneLine(action: Action, command: Command): Command {
  command
    .requiredOption('-c, --container <name>', 'NAMESPACE/POD/CONTAINER, or CONTAINER outside Kubernetes')
    .requiredOption(
      '--to <address>',
      'ADDRESS, CIDR, either with :PORT, [V6]:PORT, or :PORT; may be repeated',
      collect,
      [],
    )
    .addOption(podLabelOption())
    .addOption(new Option('--protocol <protocol>', 'of the port').choices(['tcp', 'udp']).default('tcp'))
    .option('--name <name>', 'of the policy')
    .option('--audit', 'let it through, but mark it')
    .option('--dry-run', 'check and print, change nothing');
  return addConnection(command).action((options: Options) => run(action, options));
}

export function denyCommand(): Command {
  return oneLine(
    'Deny',
    new Command('deny').description('refuse connections of one container: writes a policy'),
  ).addHelpText('after', '\nExample:\n  cellwall deny --container shop/web/malware --to 10.0.0.5:1433');
}

export function allowCommand(): Command {
  return oneLine(
    'Accept',
    new Command('allow').description('allow connections of one container, and refuse all others: writes a policy'),
  ).addHelpText(
    'after',
    '\nExample:\n  cellwall allow --container shop/web/nginx --to 10.0.0.5:1433 --to 10.0.0.10:53 --audit',
  );
}
