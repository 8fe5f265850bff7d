// SPDX-License-Identifier: Apache-2.0
//
// Drift as tables, for people at a terminal.
import { type Cell, clean, table } from '../format.js';
import { type Answer, type NewFlow, type Release, ruleText, type TimeText, withText } from './answer.js';

const COLORS = { denied: 'red', audit: 'yellow', allowed: 'green', unknown: 'dim' } as const;

const right = (text: string): Cell => ({ text, right: true });

const patchText = ({ patched, verdict, rule }: NewFlow): string => {
  if (patched) return 'accepts it';
  return verdict === 'denied' || verdict === 'audit' ? (rule?.endsWith(':(default deny)') ? 'by hand' : 'no') : '-';
};

function releaseText(it: Release, time: TimeText, color: boolean): string {
  const covered = it.covered > 0 ? `, ${it.covered} more that rules accept` : '';
  const head = `${it.container}: ${it.before} -> ${it.now} since ${time(it.since)}: ${it.kept} of ${it.known} connections as before${covered}, and`;
  const rows = it.flows.map((flow) => [
    { text: `  ${withText(flow)}`, color: 'bold' as const },
    right(String(flow.flows)),
    { text: time(flow.first) },
    { text: flow.verdict, color: COLORS[flow.verdict] },
    { text: ruleText(flow) },
    { text: patchText(flow) },
  ]);
  return `${clean(head)}\n${table(['  WITH', 'FLOWS', 'FIRST', 'NOW', 'RULE', 'PATCH'], rows, color)}`;
}

export function driftText(answer: Answer, time: TimeText, color: boolean): string {
  const { notes, unused, unusedSince, empty, releases, peers, patches } = answer;
  const parts = [notes.map((it) => `${clean(it)}\n`).join('')];
  if (releases.length > 0)
    parts.push(
      `New with a release, and accepted by no rule:\n${releases.map((it) => releaseText(it, time, color)).join('\n')}`,
    );
  if (peers.length > 0) {
    const rows = peers.map((it) => [
      { text: it.container, color: 'bold' as const },
      { text: `${it.kind} ${it.to} ${it.protocol} ${it.port}` },
      { text: it.before.name },
      { text: it.now.name, color: 'yellow' as const },
      { text: it.instead ? 'instead' : 'beside' },
      { text: time(it.now.first) },
    ]);
    const head = ['CONTAINER', 'CALLS', 'BEFORE', 'NOW', 'HOW', 'SEEN FROM'];
    parts.push(`Led to another workload than before:\n${table(head, rows, color)}`);
  }
  if (unused.length > 0) {
    const rows = unused.map((it) => [
      { text: it.policy, color: 'bold' as const },
      { text: it.rule },
      { text: it.direction },
      { text: it.action },
      { text: it.action === 'Deny' ? 'stays: nothing ran into it' : 'removes it' },
    ]);
    const head = ['POLICY', 'RULE', 'DIRECTION', 'ACTION', 'PATCH'];
    parts.push(`Rules that nothing used since ${time(unusedSince)}:\n${table(head, rows, color)}`);
  }
  if (empty.length > 0) {
    const rows = empty.map((it) => [{ text: it.policy, color: 'bold' as const }, { text: time(it.changed) }]);
    parts.push(`Policies that selected no container:\n${table(['POLICY', 'CHANGED'], rows, color)}`);
  }
  if (parts.length === 1) parts.push('no drift\n');
  if (patches.length > 0)
    parts.push(`A patch of ${clean(patches.map(({ policy }) => policy).join(', '))}: cellwall policy drift -o yaml\n`);
  return parts.join('\n');
}

/** To be applied, or to be judged first. */
export function driftYaml({ notes, patches }: Answer): string {
  const comments = [...notes, ...(patches.length === 0 ? ['There is nothing to change.'] : [])];
  return [...comments.map((it) => `# ${clean(it)}\n`), ...patches.map(({ yaml }) => `---\n${yaml}`)].join('');
}
