// SPDX-License-Identifier: Apache-2.0
//
// Drift as Markdown, for a report of a schedule or a comment of a pipeline. Names come from strangers, and are escaped.
import { clean } from '../format.js';
import { type Answer, ruleText, type TimeText, withText } from './answer.js';

const escaped = (text: string): string => clean(text).replace(/[\\`*_{}[\]<|#~]/g, '\\$&');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(head) + line(head.map(() => '---')) + rows.map((row) => line(row.map(escaped))).join('');
}

/** A fence that nothing in the text ends. */
function code(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}yaml\n${text}${fence}\n`;
}

export function driftMarkdown(answer: Answer, time: TimeText): string {
  const { notes, unused, unusedSince, empty, releases, peers, patches } = answer;
  const parts = [`# Policy drift\n\n${notes.map((it) => `- ${escaped(it)}\n`).join('')}`];
  for (const it of releases) {
    const rows = it.flows.map((flow) => [
      withText(flow),
      String(flow.flows),
      time(flow.first),
      flow.verdict,
      ruleText(flow),
      flow.patched ? 'accepts it' : '',
    ]);
    const covered = it.covered > 0 ? ` ${it.covered} more are accepted by rules.` : '';
    parts.push(
      `## New with a release: ${escaped(it.container)}\n\n${escaped(it.before)} → ${escaped(it.now)} since ${time(it.since)}. It makes ${it.kept} of ${it.known} connections as before.${covered}\n\n${table(['With', 'Flows', 'First', 'Now', 'Rule', 'Patch'], rows)}`,
    );
  }
  if (peers.length > 0) {
    const rows = peers.map((it) => [
      it.container,
      `${it.kind} ${it.to} ${it.protocol} ${it.port}`,
      it.before.name,
      it.now.name,
      it.instead ? 'instead' : 'beside',
      time(it.now.first),
    ]);
    const head = ['Container', 'Calls', 'Before', 'Now', 'How', 'Seen from'];
    parts.push(`## Led to another workload than before\n\n${table(head, rows)}`);
  }
  if (unused.length > 0) {
    const rows = unused.map((it) => [it.policy, it.rule, it.direction, it.action]);
    parts.push(
      `## Rules that nothing used since ${time(unusedSince)}\n\nA Deny that nothing ran into does what it is for; the patch keeps it.\n\n${table(['Policy', 'Rule', 'Direction', 'Action'], rows)}`,
    );
  }
  if (empty.length > 0) {
    const rows = empty.map((it) => [it.policy, time(it.changed)]);
    parts.push(`## Policies that selected no container\n\n${table(['Policy', 'Changed'], rows)}`);
  }
  if (parts.length === 1) parts.push('No drift.\n');
  for (const it of patches) parts.push(`## Patch of ${escaped(it.policy)}\n\n${code(it.yaml)}`);
  return parts.join('\n');
}
