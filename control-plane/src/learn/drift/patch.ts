// SPDX-License-Identifier: Apache-2.0
//
// Policies as they would be without the rules that nothing used, and with rules for what a newer version does. A patch opens
// nothing else: a policy that isolates goes on isolating when its last rule goes.
import { Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import { type Direction, type Policy, parseDocuments, policyKey } from '../../policy/index.js';
import { some } from '../coverage_text.js';
import { USUAL_OPTIONS } from '../learn.js';
import { type PeerContext, peersOf } from '../peers.js';
import { type PeerSeen, RuleWriter } from '../rules.js';
import type { Seen } from '../seen.js';
import { evidenceText, fold, harmless, STYLE } from '../write.js';
import type { Patch, StandingDocument, UnusedRule } from './model.js';

/** What a rule is wanted for, from the side of the policy that gets it. */
export interface Wanted {
  readonly seen: Seen;
  /** "shop/web/nginx, image web:1.5". */
  readonly why: string;
}

export interface Patched extends Patch {
  /** Parsed. */
  readonly policies: readonly Policy[];
}

const FIELDS = { egress: 'Egress', ingress: 'Ingress' } as const;
const DIRECTIONS = ['egress', 'ingress'] as const;

function documentOf({ text, document }: StandingDocument): Document {
  return text === '' ? new Document(JSON.parse(document)) : (parseDocument(text) as unknown as Document);
}

function rulesOf(document: Document, direction: Direction): YAMLSeq | undefined {
  const rules = document.getIn(['spec', direction], true);
  return isSeq(rules) ? (rules as YAMLSeq) : undefined;
}

function remove(document: Document, direction: Direction, unused: ReadonlySet<string>): void {
  const rules = rulesOf(document, direction);
  if (!rules) return;
  rules.items = rules.items.filter((it) => !(isMap(it) && unused.has(String((it as YAMLMap).get('name')))));
  if (rules.items.length === 0) document.deleteIn(['spec', direction]);
}

function add(document: Document, direction: Direction, wanted: readonly PeerSeen[], taken: Set<string>): number {
  if (wanted.length === 0) return 0;
  const learned = new RuleWriter(direction, USUAL_OPTIONS, taken).write(wanted);
  if (!rulesOf(document, direction)) document.setIn(['spec', direction], document.createNode([]));
  const rules = rulesOf(document, direction) as YAMLSeq;
  rules.flow = false;
  for (const rule of learned) {
    const node = document.createNode(rule.document) as YAMLMap;
    node.commentBefore = ` new:${evidenceText(rule)}`;
    for (const pair of node.items) if (isMap(pair.value) || isSeq(pair.value)) fold(pair.value);
    rules.add(node);
  }
  return learned.length;
}

const accepts = (policy: Policy, direction: Direction): boolean =>
  policy[direction].some(({ action }) => action === 'Accept');

/** Isolation that came from an Accept rule has to be said once the last of them has gone. */
function keepIsolated(document: Document, before: Policy, after: Policy): void {
  const lost = DIRECTIONS.filter((it) => before.isolated[it] && !accepts(after, it) && !after.isolated[it]);
  if (lost.length === 0) return;
  const isolated = DIRECTIONS.filter((it) => before.isolated[it]).map((it) => FIELDS[it]);
  document.setIn(['spec', 'isolate'], document.createNode(isolated, { flow: true }));
}

const parsed = (document: Document): Policy | undefined => {
  const { policies, problems } = parseDocuments(document.toString(STYLE), 'patch');
  return problems.length === 0 ? policies[0] : undefined;
};

/** undefined: nothing is to be changed, or the document cannot be changed by a program. */
export function patchOf(
  policy: Policy,
  standing: StandingDocument,
  unused: readonly UnusedRule[],
  wanted: readonly Wanted[],
  context: PeerContext,
): Patched | undefined {
  if (unused.length === 0 && wanted.length === 0) return undefined;
  const document = documentOf(standing);
  const gone = new Set(unused.map(({ rule }) => rule));
  const taken = new Set([...policy.egress, ...policy.ingress].map(({ name }) => name));
  let added = 0;
  for (const direction of DIRECTIONS) {
    remove(document, direction, gone);
    const own = wanted.filter(({ seen }) => seen.direction === direction);
    const seen = own.flatMap((it) => peersOf(it.seen, context).map((peer): PeerSeen => ({ seen: it.seen, peer })));
    added += add(document, direction, seen, taken);
  }
  const between = parsed(document);
  if (!between) return undefined;
  keepIsolated(document, policy, between);
  const after = parsed(document);
  if (!after) return undefined;
  const key = policyKey(policy);
  const whys = [...new Set(wanted.map(({ why }) => why))].sort();
  const lines = [
    `${key}: ${some(added, 'rule')} added, ${some(unused.length, 'rule')} removed`,
    ...whys.map((why) => `added: what is new in ${why}`),
    ...(added > 0 ? ['CHECK each rule marked "new": so far, policies refuse or audit what it accepts'] : []),
    ...unused.map(({ rule, direction }) => `removed: ${direction} rule ${rule}, which nothing used`),
  ].map((line) => ` ${harmless(line)}`);
  // A file of several documents has their marks between them.
  if (document.directives) document.directives.docStart = null;
  document.commentBefore = [...lines, ...(document.commentBefore ? [document.commentBefore] : [])].join('\n');
  return { policy: key, added, removed: unused.length, yaml: document.toString(STYLE), policies: [after] };
}
