// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy promote` and `demote`: from Audit to Enforce, and back; a staged version, where there is one, into force.
import type { Command } from 'commander';
import { EXIT } from '../../errors.js';
import type { Effect } from '../../flows/effect.js';
import type { Finding } from '../../flows/findings.js';
import { CommandError } from '../client.js';
import { effectSummary } from '../effect_text.js';
import { localTime, table, useColor } from '../format.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';
import { KEY, policyAt } from './policy_keys.js';
import { checkStaged, stagedVersions } from './policy_stage.js';

interface Answer {
  readonly key: string;
  readonly mode: 'Audit' | 'Enforce';
  readonly since: string;
  readonly flows: number;
  readonly findings: readonly Finding[];
  readonly more: number;
  readonly other: string;
}

interface Options extends ConnectionOptions {
  readonly despiteFindings?: boolean;
  readonly dryRun?: boolean;
  readonly reason?: string;
}

function printFindings({ key, since, findings, flows, more }: Answer): void {
  const now = new Date();
  const begin = localTime(since, now);
  if (findings.length === 0) {
    print(`${key} has found nothing that it would refuse since ${begin}\n`);
    return;
  }
  print(`${key} would have refused ${flows} ${flows === 1 ? 'flow' : 'flows'} since ${begin}:\n`);
  print(
    table(
      ['CONTAINER', 'FLOWS', 'WITH', 'RULE', 'FIRST', 'LAST'],
      findings.map((it) => [
        { text: it.container, color: 'bold' as const },
        { text: String(it.flows), right: true },
        { text: `${it.direction === 'egress' ? '->' : '<-'} ${it.protocol} ${it.peer} ${it.port}` },
        { text: it.rule, color: 'yellow' as const },
        { text: localTime(it.first, now) },
        { text: localTime(it.last, now) },
      ]),
      useColor(process.stdout),
    ),
  );
  if (more > 0) print(`and ${more} findings more\n`);
}

/** An admin's change is made, anyone else's is proposed. */
async function change(key: string, text: string, becomes: string, options: Options): Promise<void> {
  const client = connect(options);
  const source = key;
  const { role } = await client.json<{ role: string }>('GET', '/v1/whoami');
  if (role === 'admin') {
    const query = { source, dryRun: options.dryRun ? 'true' : 'false' };
    const { generation, effect } = await client.json<{ generation: number; effect: Effect | null }>(
      'PUT',
      '/v1/policies',
      query,
      text,
    );
    if (effect) print(`${effectSummary(effect)}\n`);
    print(
      options.dryRun
        ? `${key} would be ${becomes}; nothing was changed\n`
        : `${key} is ${becomes}\ngeneration ${generation}\n`,
    );
    return;
  }
  if (options.dryRun) return print(`${key} would be proposed to be ${becomes}; nothing was changed\n`);
  const reason = options.reason ?? becomes;
  const { id } = await client.json<{ id: number }>('POST', '/v1/proposals', { source, reason }, text);
  print(`proposal ${id}: ${key} ${becomes}\nan admin approves it with: cellwall proposals approve ${id}\n`);
}

async function setMode(to: 'Audit' | 'Enforce', key: string, options: Options): Promise<void> {
  const { path, query } = policyAt(key);
  const staged = to === 'Enforce' && (await stagedVersions(options)).find((it) => it.key === key);
  if (staged) {
    await checkStaged(staged, options.despiteFindings === true, options);
    return change(key, staged.text, 'as it was staged', options);
  }
  const found = await connect(options).json<Answer>('GET', `${path}/findings`, query);
  if (found.mode === to) return print(`${found.key} is in mode ${to} already\n`);
  if (to === 'Enforce') {
    printFindings(found);
    if (found.findings.length > 0 && !options.despiteFindings)
      throw new CommandError(
        `${found.key} stays in mode Audit: add rules for what should go on and apply it (that begins anew), or give --despite-findings`,
        EXIT.failure,
      );
  }
  await change(found.key, found.other, `in mode ${to}`, options);
}

function add(command: Command, to: 'Audit' | 'Enforce'): Command {
  return addConnection(command)
    .argument('<policy>', KEY)
    .option('--dry-run', 'say what would change')
    .option('--reason <text>', 'of the proposal, when your role is propose')
    .action((key: string, options: Options) => setMode(to, key, options));
}

export function addPromote(command: Command): void {
  add(
    command
      .description(
        'show what a policy in mode Audit, or a staged version, has found since it was changed last; without findings, enforce it',
      )
      .option('--despite-findings', 'enforce it all the same')
      .addHelpText('after', '\nExit code 1: there are findings, nothing was changed.'),
    'Enforce',
  );
}

export function addDemote(command: Command): void {
  add(command.description('put a policy back into mode Audit: it refuses nothing from then on'), 'Audit');
}
