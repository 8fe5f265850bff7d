// SPDX-License-Identifier: Apache-2.0
//
// Learned policies as YAML for review: the evidence stands beside each rule, what was left out at the end.
import { Document, isMap, isSeq, type Node, visit } from 'yaml';
import { protocolName } from '../flows/record.js';
import type { Conflict } from './conflicts.js';
import type { Coverage } from './coverage.js';
import { coverageLines, some, span } from './coverage_text.js';
import type { Apart, Learned, LearnedPolicy, Reason } from './learn.js';
import type { LearnedRule } from './rules.js';

/** What stands in the way of the learned policies. */
export interface Standing {
  readonly conflicts: readonly Conflict[];
  readonly unasked: number;
  /** Keys of policies that are there already. */
  readonly replaced: readonly string[];
}

const REASONS: Readonly<Record<Reason, string>> = {
  denied: 'was refused',
  'one-off': 'was seen once in more than a day',
  'never-answered': 'nobody ever answered',
  protocol: 'a protocol that rules cannot name',
  unnamed: 'the container has no name',
};

/** As docs/POLICIES.md writes them. */
export const STYLE = { lineWidth: 0, flowCollectionPadding: false, indentSeq: false } as const;
/** Lists and maps of at most so many characters stay on one line. */
const LONGEST_LINE = 110;

export function evidenceText({ evidence: { flows, firstUs, lastUs, unseen } }: LearnedRule): string {
  const more = unseen > 0 ? `; accepts ${some(unseen, 'destination')} that nobody went to` : '';
  return ` ${some(flows, 'flow')}, ${span(firstUs, lastUs)}${more}`;
}

/** Short inner maps and lists on one line, as people write them. */
export function fold(node: Node): void {
  visit(node, {
    Collection: (_, inner) => {
      if (!isMap(inner) && !isSeq(inner)) return undefined;
      if (JSON.stringify(inner.toJSON()).length > LONGEST_LINE) return undefined;
      inner.flow = true;
      return visit.SKIP;
    },
  });
}

function policyDocument(policy: LearnedPolicy): Document {
  const spec = {
    subject: policy.subject,
    mode: policy.mode,
    isolate: ['Egress', 'Ingress'],
    ...(policy.egress.length > 0 && { egress: policy.egress.map((it) => it.document) }),
    ...(policy.ingress.length > 0 && { ingress: policy.ingress.map((it) => it.document) }),
  };
  const document = new Document({
    apiVersion: 'cellwall.dev/v1alpha1',
    kind: 'ContainerPolicy',
    metadata: { name: policy.name, ...(policy.namespace !== '' && { namespace: policy.namespace }) },
    spec,
  });
  for (const path of [['metadata'], ['spec', 'subject'], ['spec', 'isolate']]) {
    const part = document.getIn(path, true);
    if (isMap(part) || isSeq(part)) fold(part);
  }
  for (const direction of ['egress', 'ingress'] as const) {
    const list = document.getIn(['spec', direction]);
    if (!isSeq(list)) continue;
    for (const [index, item] of list.items.entries()) {
      if (!isMap(item)) continue;
      item.commentBefore = evidenceText(policy[direction][index] as LearnedRule);
      for (const pair of item.items) if (isMap(pair.value) || isSeq(pair.value)) fold(pair.value);
    }
  }
  const notes = policy.notes.map((note) => `\n NOTE: ${harmless(note)}`).join('');
  document.commentBefore = ` ${harmless(policy.workload || policy.name)}: seen ${span(policy.firstUs, policy.lastUs)}${notes}`;
  return document;
}

function flowLine(it: Omit<Apart, 'firstUs' | 'lastUs' | 'reason'>): string {
  const own = [it.namespace, it.workload, it.container].filter((part) => part !== '').join('/');
  const way = it.direction === 'egress' ? 'to' : 'from';
  return `${own} ${way} ${it.peer} ${protocolName(it.protocol)}/${it.port}: ${some(it.flows, 'flow')}`;
}

const apartLine = (it: Apart): string => `  ${flowLine(it)}, ${span(it.firstUs, it.lastUs)}: ${REASONS[it.reason]}`;

function standingLines({ conflicts, unasked, replaced }: Standing): string[] {
  return [
    ...replaced.map(
      (key) => `There is a policy ${key} already, which the one below would replace: 'cellwall policy diff'.`,
    ),
    ...(conflicts.length > 0 ? ['Policies that are there already refuse some of what the rules below accept:'] : []),
    ...conflicts.map((it) => `  ${flowLine(it)}: refused by ${it.rule}`),
    ...(unasked > 0 ? [`${some(unasked, 'connection')} more were not put to the policies that are there.`] : []),
  ];
}

const NOTHING: Standing = { conflicts: [], unasked: 0, replaced: [] };
/** Names come from strangers: a line break in one would end the comment. */
export const harmless = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]/gu, '?');
export const comments = (lines: readonly string[]): string => lines.map((line) => `# ${harmless(line)}\n`).join('');

export function writeLearned(
  { policies, apart }: Pick<Learned, 'policies' | 'apart'>,
  coverage: Coverage,
  standing: Standing = NOTHING,
): string {
  const parts = policies.map((policy) => policyDocument(policy).toString(STYLE));
  const rest =
    apart.length > 0 ? ['Not accepted by any rule above; judge these by hand:', ...apart.map(apartLine)] : [];
  return [
    comments([...coverageLines(coverage), ...standingLines(standing)]),
    ...parts.map((it) => `---\n${it}`),
    comments(rest),
  ].join('');
}
