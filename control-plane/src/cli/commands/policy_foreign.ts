// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy export` and `import`: policies in the forms of other projects, and what is lost on the way.
import { type Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import type { Loss, Policy } from '../../policy/index.js';
import { CommandError, readInput } from '../client.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';
import { KEY, policyAt } from './policy_keys.js';

type Form = 'networkpolicy' | 'ciliumnetworkpolicy' | 'clusternetworkpolicy';

interface ExportOptions extends ConnectionOptions {
  readonly to: Form;
  readonly file?: string;
  readonly strict?: boolean;
}

async function parse(text: string, source: string): Promise<Policy[]> {
  const { parseDocuments } = await import('../../policy/index.js');
  const { policies, problems } = parseDocuments(text, source);
  if (problems.length > 0) throw new CommandError(`${source} was refused`, EXIT.refused, problems);
  return policies;
}

async function fetchPolicies(key: string | undefined, options: ExportOptions): Promise<Policy[]> {
  const client = connect(options);
  if (key !== undefined) {
    const { path, query } = policyAt(key);
    return parse((await client.json<{ text: string }>('GET', path, query)).text, key);
  }
  const { policies } = await client.json<{ policies: { key: string; text: string }[] }>('GET', '/v1/policies');
  return (await Promise.all(policies.map((it) => parse(it.text, it.key)))).flat();
}

async function printDocuments(documents: readonly object[], losses: readonly Loss[], strict = false): Promise<void> {
  // Loaded here: completion starts every command and should not wait for it.
  const { stringify } = await import('yaml');
  print(documents.map((it) => stringify(it, { lineWidth: 0 })).join('---\n'));
  for (const { where, what } of losses) process.stderr.write(`lost: ${where}: ${what}\n`);
  if (strict && losses.length > 0) throw new CommandError(`${losses.length} lost, see above`, EXIT.failure);
}

async function exportPolicies(key: string | undefined, options: ExportOptions): Promise<void> {
  const { file, to, strict } = options;
  if (file !== undefined && key !== undefined) throw new CommandError('give a policy or --file', EXIT.usage);
  const source = file === '-' ? 'stdin' : (file ?? '');
  const policies = file === undefined ? await fetchPolicies(key, options) : await parse(readInput(file), source);
  const foreign = await import('../../policy/foreign/index.js');
  const make = {
    networkpolicy: foreign.toNetworkPolicies,
    ciliumnetworkpolicy: foreign.toCiliumPolicies,
    clusternetworkpolicy: foreign.toClusterNetworkPolicies,
  }[to];
  const { documents, losses } = make(policies);
  await printDocuments(documents, losses, strict);
}

async function importPolicies({ file, strict }: { file: string; strict?: boolean }): Promise<void> {
  const source = file === '-' ? 'stdin' : file;
  const { fromNetworkPolicies } = await import('../../policy/foreign/index.js');
  const { documents, losses, problems } = fromNetworkPolicies(readInput(file), source);
  if (problems.length > 0) throw new CommandError(`${source} was refused`, EXIT.refused, problems);
  await printDocuments(documents, losses, strict);
}

const STRICT = 'end with exit code 1 when something is lost';

export function addExport(command: Command): void {
  addConnection(command.description('policies in the form of another project, and what is lost'))
    .argument('[policy]', `${KEY}; all when left out`)
    .addOption(
      new Option('--to <form>', 'which')
        .choices(['networkpolicy', 'ciliumnetworkpolicy', 'clusternetworkpolicy'])
        .makeOptionMandatory(),
    )
    .option('-f, --file <file>', 'of policies in a file, without a server; "-" reads standard input')
    .option('--strict', STRICT)
    .action(exportPolicies);
}

export function addImport(command: Command): void {
  command
    .description('policies from the NetworkPolicies of a file, printed; no server is asked')
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--strict', STRICT)
    .action(importPolicies);
}
