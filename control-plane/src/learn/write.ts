// SPDX-License-Identifier: Apache-2.0
//
// Learned policies as YAML for review: the evidence stands beside each rule, what was left out at the end.
import { Document, isMap, isScalar, isSeq, type Node, visit } from 'yaml';
import { protocolName, timeText } from '../flows/record.js';
import type { Apart, Learned, LearnedPolicy, Reason } from './learn.js';
import type { LearnedRule } from './rules.js';

/** How much of the time that was asked for is on record. */
export interface Coverage {
  readonly sinceUs: number;
  readonly untilUs: number;
  /** null: nothing is. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
  /** Events that were lost in that time. */
  readonly lost: number;
  readonly gaps: number;
}

const REASONS: Readonly<Record<Reason, string>> = {
  denied: 'was refused',
  'one-off': 'was seen once in more than a day',
  'never-answered': 'nobody ever answered',
  protocol: 'a protocol that rules cannot name',
  unnamed: 'the container has no name',
};

/** Lists and maps of at most so many characters stay on one line. */
const LONGEST_LINE = 110;

const minute = (us: number): string => timeText(us).replace(/:\d\d(\.\d+)?Z$/, 'Z');

function span(firstUs: number, lastUs: number): string {
  const [first, last] = [minute(firstUs), minute(lastUs)];
  return first === last ? `at ${first}` : `${first} to ${last}`;
}

export function evidenceText({ evidence: { flows, firstUs, lastUs, unseen } }: LearnedRule): string {
  const more = unseen > 0 ? `; accepts ${unseen.toLocaleString('en')} destinations that nobody went to` : '';
  return ` ${flows.toLocaleString('en')} ${flows === 1 ? 'flow' : 'flows'}, ${span(firstUs, lastUs)}${more}`;
}

/** Short inner maps and lists on one line, as people write them. */
function fold(node: Node): void {
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
  for (const part of ['metadata', 'subject', 'isolate'])
    visit(document, {
      Pair: (_, pair) => {
        if (isScalar(pair.key) && pair.key.value === part && (isMap(pair.value) || isSeq(pair.value))) fold(pair.value);
      },
    });
  for (const direction of ['egress', 'ingress'] as const) {
    const list = document.getIn(['spec', direction]);
    if (!isSeq(list)) continue;
    for (const [index, item] of list.items.entries()) {
      if (!isMap(item)) continue;
      item.commentBefore = evidenceText(policy[direction][index] as LearnedRule);
      for (const pair of item.items) if (isMap(pair.value) || isSeq(pair.value)) fold(pair.value);
    }
  }
  const notes = policy.notes.map((note) => `\n NOTE: ${note}`).join('');
  document.commentBefore = ` ${policy.workload === '' ? policy.name : policy.workload}: seen ${span(policy.firstUs, policy.lastUs)}${notes}`;
  return document;
}

function apartLine(it: Apart): string {
  const own = [it.namespace, it.workload, it.container].filter((part) => part !== '').join('/');
  const way = it.direction === 'egress' ? 'to' : 'from';
  const what = `${own} ${way} ${it.peer} ${protocolName(it.protocol)}/${it.port}`;
  return `#   ${what}: ${it.flows.toLocaleString('en')} ${it.flows === 1 ? 'flow' : 'flows'}, ${span(it.firstUs, it.lastUs)}: ${REASONS[it.reason]}\n`;
}

function coverageText({ sinceUs, untilUs, firstUs, lastUs, lost, gaps }: Coverage): string {
  const asked = `# Learned from ${span(sinceUs, untilUs)}.\n`;
  if (firstUs === null || lastUs === null) return `${asked}# Nothing is on record for that time.\n`;
  const part = Math.min(1, (lastUs - firstUs) / Math.max(1, untilUs - sinceUs));
  const covered = `# On record is ${span(firstUs, lastUs)}: ${Math.floor(100 * part)} % of it.\n`;
  const holes =
    lost > 0
      ? `# ${lost.toLocaleString('en')} events in ${gaps} ${gaps === 1 ? 'gap' : 'gaps'} were lost: what they were is not learned ('cellwall losses').\n`
      : '';
  return asked + covered + holes;
}

export function writeLearned({ policies, apart }: Learned, coverage: Coverage): string {
  const parts = policies.map((policy) => policyDocument(policy).toString({ lineWidth: 0 }));
  const rest =
    apart.length > 0 ? `# Not accepted by any rule above; judge these by hand:\n${apart.map(apartLine).join('')}` : '';
  return coverageText(coverage) + parts.map((it) => `---\n${it}`).join('') + rest;
}
