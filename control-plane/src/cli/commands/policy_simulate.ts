// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy simulate`: what a change would have done to recorded flows, asked of a server or found in an export.
import { type Command, Option } from 'commander';
import { EXIT } from '../../errors.js';
import type { Effect } from '../../flows/effect.js';
import { CommandError, readInput } from '../client.js';
import { effectSummary, printEffectLines } from '../effect_text.js';
import { addConnection, addOutput, type ConnectionOptions, connect, print } from '../shared.js';

type FailOn = 'refused' | 'accepted' | 'any' | 'never';

interface Options extends ConnectionOptions {
  readonly file: string;
  readonly since: string;
  readonly until?: string;
  readonly from?: string;
  readonly failOn: FailOn;
  readonly output: 'table' | 'json';
}

/** Of the whole question. */
const LONGEST_MS = 60_000;

async function offline(file: string, from: string): Promise<Effect> {
  const { simulateOffline } = await import('../simulate_offline.js');
  return simulateOffline(file, from);
}

async function online(options: Options): Promise<Effect> {
  const { file, since, until } = options;
  const query = { source: file === '-' ? 'stdin' : file, since, until };
  const { effect } = await connect(options, LONGEST_MS).json<{ effect: Effect }>(
    'POST',
    '/v1/policies/simulation',
    query,
    readInput(file),
  );
  return effect;
}

function complaint({ refused, accepted }: Effect, failOn: FailOn): string | null {
  const flows = (count: number) => `${count.toLocaleString('en')} ${count === 1 ? 'flow' : 'flows'}`;
  if (refused > 0 && (failOn === 'refused' || failOn === 'any')) return `${flows(refused)} would be refused`;
  if (accepted > 0 && (failOn === 'accepted' || failOn === 'any')) return `${flows(accepted)} would be accepted`;
  return null;
}

async function simulate(options: Options): Promise<void> {
  if (options.file === '-' && options.from === '-')
    throw new CommandError('standard input is either --file or --from', EXIT.usage);
  const effect = await (options.from === undefined ? online(options) : offline(options.file, options.from));
  if (options.output === 'json') print(`${JSON.stringify(effect, null, 2)}\n`);
  else {
    print(`${effectSummary(effect)}\n`);
    printEffectLines(effect);
  }
  const problem = complaint(effect, options.failOn);
  if (problem) throw new CommandError(problem, EXIT.failure);
}

const EXAMPLES = `
Examples:
  cellwall policy simulate -f new.yaml --since 24h
  cellwall export -o jsonl --world --since 7d --file flows.jsonl
  cellwall policy simulate -f new.yaml --from flows.jsonl

Exit code 1: flows would be refused (see --fail-on).`;

export function addSimulate(command: Command): void {
  addOutput(addConnection(command.description('what a change would have done to recorded flows; nothing is changed')), [
    'table',
    'json',
  ])
    .requiredOption('-f, --file <file>', 'YAML or JSON; "-" reads standard input')
    .option('--since <time>', 'which recorded flows: 2026-01-02T03:04:05Z, or 1h, 1d, 7d', '1d')
    .option('--until <time>', 'to, as --since; now when left out')
    .option('--from <file>', "flows from an export ('cellwall export -o jsonl --world'), without a server")
    .addOption(
      new Option('--fail-on <what>', 'when to end with exit code 1: flows are newly refused, newly accepted, either')
        .choices(['refused', 'accepted', 'any', 'never'])
        .default('refused'),
    )
    .addHelpText('after', EXAMPLES)
    .action(simulate);
}
