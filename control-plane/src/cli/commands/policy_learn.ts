// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy learn`: policies that accept what was seen, as YAML on standard output; what to know about them goes to stderr.
import { type Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import { CommandError } from '../client.js';
import { addConnection, type ConnectionOptions, connect, count, print } from '../shared.js';

interface Answer {
  readonly coverage: { readonly first: string | null };
  readonly policies: readonly { readonly key: string; readonly replaces: boolean; readonly rules: number }[];
  readonly apart: readonly object[];
  readonly conflicts: readonly object[];
  readonly yaml: string;
}

interface Options extends ConnectionOptions {
  readonly namespace?: string;
  readonly since: string;
  readonly until?: string;
  readonly mode: 'audit' | 'enforce';
  readonly networks: number;
  readonly ports: number;
  readonly names?: number;
  readonly output: 'yaml' | 'json';
}

/** Of the whole question: a week of a big cluster takes its time. */
const LONGEST_MS = 180_000;
const some = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;

function notes({ policies, apart, conflicts }: Answer): string[] {
  const rules = policies.reduce((sum, it) => sum + it.rules, 0);
  const replaced = policies.filter((it) => it.replaces).map(({ key }) => key);
  return [
    `${some(policies.length, 'policy', 'policies')} with ${some(rules, 'rule', 'rules')}`,
    ...(apart.length > 0
      ? [`${apart.length} listed apart, at the end: no rule accepts these, judge them by hand`]
      : []),
    ...(conflicts.length > 0
      ? [`${conflicts.length} of what they accept is refused by policies that are there already: see the beginning`]
      : []),
    ...(replaced.length > 0 ? [`applying them replaces ${replaced.join(', ')}`] : []),
  ];
}

async function learn(options: Options): Promise<void> {
  const { namespace, since, until, mode, networks, ports, names, output } = options;
  const answer = await connect(options, LONGEST_MS).json<Answer>('GET', '/v1/policies/learn', {
    namespace,
    since,
    until,
    mode: mode === 'audit' ? 'Audit' : 'Enforce',
    networks: String(networks),
    ports: String(ports),
    names: names === undefined ? undefined : String(names),
  });
  print(output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : answer.yaml);
  if (answer.policies.length === 0)
    throw new CommandError(
      answer.coverage.first === null
        ? `nothing is on record since ${since}: see 'cellwall status' and 'cellwall nodes', or take a longer time`
        : `no container${namespace === undefined ? '' : ` of ${namespace}`} that has a name did anything since ${since}`,
      EXIT.notFound,
    );
  for (const note of notes(answer)) process.stderr.write(`${note}\n`);
}

const EXAMPLES = `
Examples:
  cellwall policy learn --namespace shop --since 7d > shop.yaml
  cellwall policy simulate -f shop.yaml --since 24h
  cellwall policy apply -f shop.yaml

Exit code 4: there was nothing to learn from. docs/POLICIES.md tells how flows become rules.`;

export function addLearn(command: Command): void {
  addConnection(command.description('write policies that accept what was seen'))
    .option('--namespace <name>', 'of which containers; all when left out')
    .option('--since <time>', 'from: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago', '7d')
    .option('--until <time>', 'to, as --since; now when left out')
    .addOption(new Option('--mode <mode>', 'of the policies').choices(['audit', 'enforce']).default('audit'))
    .option('--networks <count>', 'networks of one rule, at most; more addresses are put together', count, 16)
    .option('--ports <count>', 'ports of one peer that are named one by one; more are one range', count, 16)
    .option(
      '--names <count>',
      'from so many names below one domain on, "*." and the domain; never when left out',
      count,
    )
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['yaml', 'json']).default('yaml'))
    .addHelpText('after', EXAMPLES)
    .action(learn);
}
