// SPDX-License-Identifier: Apache-2.0
//
// A dry run over recorded flows, for people.
import type { Effect, EffectLine } from '../flows/effect.js';
import { clean, localTime, table, useColor } from './format.js';
import { print } from './shared.js';

const flows = (count: number): string => (count === 1 ? '1 flow' : `${count.toLocaleString('en')} flows`);

/** "selects 3 containers; of the flows since …, 12 would be refused, 0 accepted" */
export function effectSummary(effect: Effect): string {
  const { containers } = effect.selects;
  const parts = [
    `${flows(effect.refused)} newly refused`,
    `${flows(effect.accepted)} newly accepted`,
    ...(effect.marked > 0 ? [`${flows(effect.marked)} newly marked as audit`] : []),
    ...(effect.unknown > 0 ? [`${flows(effect.unknown)} not judged`] : []),
  ];
  return `selects ${containers} container${containers === 1 ? '' : 's'}; of the flows since ${localTime(effect.since, new Date())}: ${parts.join(', ')}`;
}

const lineText = (it: EffectLine): string =>
  `${it.direction === 'egress' ? '->' : '<-'} ${it.protocol} ${it.peer} ${it.port}`;

export function printEffectLines({ lines, more, selects }: Effect): void {
  if (selects.workloads.length > 0) print(`containers: ${clean(selects.workloads.join(', '))}\n`);
  if (lines.length === 0) return;
  const now = new Date();
  const color = (verdict: string) => (verdict === 'denied' ? 'red' : verdict === 'audit' ? 'yellow' : 'green');
  print(
    table(
      ['CONTAINER', 'FLOWS', 'WITH', 'NOW', 'THEN', 'RULE', 'LAST', 'EXAMPLE'],
      lines.map((it) => [
        { text: it.container, color: 'bold' as const },
        { text: String(it.flows), right: true },
        { text: lineText(it) },
        { text: it.before },
        { text: it.after, color: color(it.after) },
        { text: it.rule ?? '(no policy)' },
        { text: localTime(it.last, now) },
        { text: it.examples[0] ? `${it.examples[0].container} ${it.examples[0].address}` : '-' },
      ]),
      useColor(process.stdout),
    ),
  );
  if (more > 0) print(`and ${more} lines more\n`);
}
