// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy drift`: where policies and what containers do have moved apart, once or as it happens.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import { type Client, CommandError } from '../client.js';
import { type Answer, type Finding, findingsOf, KINDS, type Kind } from '../drift/answer.js';
import { driftMarkdown } from '../drift/markdown.js';
import { driftText, driftYaml } from '../drift/text.js';
import { clean, localTime, useColor } from '../format.js';
import { addConnection, type ConnectionOptions, connect, count, print } from '../shared.js';

type FailOn = Kind | 'any' | 'never';

interface Options extends ConnectionOptions {
  readonly namespace?: string;
  readonly since: string;
  readonly until?: string;
  readonly unused: string;
  readonly output: 'table' | 'markdown' | 'yaml' | 'json';
  readonly failOn: FailOn;
  readonly watch?: boolean;
  readonly every: number;
}

/** Of the whole question: a week of a big cluster takes its time. */
const LONGEST_MS = 180_000;
const NOUNS: Readonly<Record<Kind, readonly [string, string]>> = {
  unused: ['unused rule', 'unused rules'],
  empty: ['policy that selects no container', 'policies that select no container'],
  releases: ['new connection that no rule accepts', 'new connections that no rule accepts'],
  peers: ['changed peer', 'changed peers'],
};

const local = (time: string): string => localTime(time, new Date());
const utc = (time: string): string => time.replace('T', ' ').replace(/:\d\d(\.\d+)?Z$/, 'Z');

const ask = (client: Client, { namespace, since, until, unused }: Options): Promise<Answer> =>
  client.json<Answer>('GET', '/v1/policies/drift', { namespace, since, until, unused });

function render(answer: Answer, output: Options['output']): string {
  if (output === 'json') return `${JSON.stringify(answer, null, 2)}\n`;
  if (output === 'yaml') return driftYaml(answer);
  if (output === 'markdown') return driftMarkdown(answer, utc);
  return driftText(answer, local, useColor(process.stdout));
}

function complaint(findings: readonly Finding[], failOn: FailOn): string | null {
  const counted = KINDS.filter((it) => failOn === 'any' || failOn === it)
    .map((kind) => [kind, findings.filter((it) => it.kind === kind).length] as const)
    .filter(([, number]) => number > 0);
  if (counted.length === 0) return null;
  return counted.map(([kind, number]) => `${number} ${NOUNS[kind][number === 1 ? 0 : 1]}`).join(', ');
}

async function once(options: Options): Promise<void> {
  const { namespace, since, output, failOn } = options;
  const answer = await ask(connect(options, LONGEST_MS), options);
  print(render(answer, output));
  if (namespace !== undefined && answer.policies === 0 && answer.containers === 0)
    throw new CommandError(`there is no policy and there was no container of ${namespace}`, EXIT.notFound);
  if (answer.coverage.first === null)
    throw new CommandError(
      `nothing is on record since ${since}: see 'cellwall status' and 'cellwall nodes', or take a longer time`,
      EXIT.notFound,
    );
  const problem = complaint(findingsOf(answer, local), failOn);
  if (problem) throw new CommandError(problem, EXIT.failure);
}

/** Prints each finding once, for as long as it is there. */
async function watch(options: Options): Promise<void> {
  const client = connect(options, LONGEST_MS);
  let told: ReadonlySet<string> | undefined;
  for (;;) {
    try {
      const findings = findingsOf(await ask(client, options), local);
      const now = new Date();
      for (const { key, kind, text, item } of findings) {
        if (told?.has(key)) continue;
        const seen = now.toISOString();
        if (options.output === 'json') print(`${JSON.stringify({ seen, kind, ...item })}\n`);
        else print(`${localTime(seen, now)} ${clean(text)}\n`);
      }
      told = new Set(findings.map(({ key }) => key));
    } catch (error) {
      const passes =
        error instanceof CommandError && [EXIT.unreachable, EXIT.unavailable].some((it) => it === error.exit);
      if (!told || !passes) throw error;
      process.stderr.write(`${clean(error.message)}; asking again in ${options.every} s\n`);
    }
    await sleep(options.every * 1000);
  }
}

function run(options: Options): Promise<void> {
  if (!options.watch) return once(options);
  if (options.until !== undefined) throw new CommandError('--watch has no --until', EXIT.usage);
  if (options.output !== 'table' && options.output !== 'json')
    throw new CommandError(`--watch prints lines, or JSON lines: it has no -o ${options.output}`, EXIT.usage);
  return watch(options);
}

const EXAMPLES = `
Examples:
  cellwall policy drift --namespace shop
  cellwall policy drift --since 7d --unused 30d -o markdown --fail-on never > drift.md
  cellwall policy drift -o yaml > patch.yaml && cellwall policy simulate -f patch.yaml
  cellwall policy drift --watch

Exit codes: 1 something was found (see --fail-on), 4 nothing is on record, 5 the server refused the question.`;

export function addDrift(command: Command): void {
  addConnection(
    command.description('unused rules, policies that select nobody, what newer versions do, peers that changed'),
  )
    .option('--namespace <name>', 'of containers and policies; all when left out')
    .option('--since <time>', 'what is compared, from: 2026-01-02T03:04:05Z, or 1h, 1d, 7d for as long ago', '7d')
    .option('--until <time>', 'to, as --since; now when left out')
    .option('--unused <time>', 'since when a rule has to have decided something, as --since', '30d')
    .addOption(
      new Option('-o, --output <format>', 'how to print; yaml is the proposed patch')
        .choices(['table', 'markdown', 'yaml', 'json'])
        .default('table'),
    )
    .addOption(
      new Option('--fail-on <what>', 'when to end with exit code 1').choices([...KINDS, 'any', 'never']).default('any'),
    )
    .option('-w, --watch', 'ask again and again, and print only what is new')
    .option('--every <seconds>', 'of --watch', count, 30)
    .addHelpText('after', EXAMPLES)
    .action(run);
}
