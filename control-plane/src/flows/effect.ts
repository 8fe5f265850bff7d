// SPDX-License-Identifier: Apache-2.0
//
// What a change of policies would have done to recorded flows: each is put before the reference evaluator twice, with the policies
// as they are and as they would be. From sums, by workload: nothing here reads a single flow.
import {
  type Connection,
  canBePeer,
  Evaluator,
  type Policy,
  selects,
  type Verdict,
  type World,
  type WorldContainer,
} from '../policy/index.js';
import { EGRESS, type MapInput, otherSide, ownSide, toldOnce } from './map.js';
import { protocolName, timeText, unpackKind } from './record.js';
import { placeOf, Residents, workloadOf } from './residents.js';

export interface EffectInput extends MapInput {
  readonly container: MapInput['container'] & {
    readonly node: string;
    readonly image: string;
    /** JSON. */
    readonly addresses: string;
  };
}

export interface Example {
  readonly container: string;
  readonly node: string;
  readonly address: string;
  readonly name: string | null;
  readonly last: string;
}

/** Flows of one workload container with one peer, whose verdict would be another. */
export interface EffectLine {
  readonly container: string;
  readonly direction: 'egress' | 'ingress';
  readonly peer: string;
  readonly port: number;
  readonly protocol: string;
  readonly before: Verdict;
  readonly after: Verdict;
  /** That would decide; null: none, what no rule is about is allowed. */
  readonly rule: string | null;
  readonly flows: number;
  readonly last: string;
  readonly examples: readonly Example[];
}

export interface Effect {
  readonly since: string;
  readonly until: string;
  /** Workload containers that run now and that the documents select, and how many containers these are. */
  readonly selects: { readonly containers: number; readonly workloads: readonly string[] };
  /** Flows. */
  readonly refused: number;
  readonly accepted: number;
  readonly marked: number;
  readonly unchanged: number;
  /** Not judged: the peer is gone and another has its address, or there was too much to judge. */
  readonly unknown: number;
  /** Most flows first; `more` lines are left out. */
  readonly lines: readonly EffectLine[];
  readonly more: number;
}

export interface Change {
  readonly before: World;
  readonly after: World;
  readonly edges: readonly EffectInput[];
  readonly sinceUs: number;
  readonly untilUs: number;
}

/** Different questions to the evaluator; flows beyond are counted as unknown. */
const MOST_QUESTIONS = 20_000;
/** Questions between two breaths of who runs this. */
const SLICE = 50;
const MOST_LINES = 200;
const MOST_EXAMPLES = 3;
const MOST_WORKLOADS = 200;

interface Sum {
  readonly line: Omit<EffectLine, 'flows' | 'last' | 'examples'>;
  flows: number;
  lastUs: number;
  readonly examples: Map<string, Example>;
}

/** Those that one of the worlds has and the other has not, or not so. */
function changedPolicies({ before, after }: Change): Policy[] {
  const missing = (from: World, other: World) => from.policies.filter((it) => !other.policies.includes(it));
  return [...missing(before, after), ...missing(after, before)];
}

/** Yields now and then, so that who runs it can see to something else; returns the effect. `documents` select. */
export function* effectOf(change: Change, documents: readonly Pick<Policy, 'subject'>[]): Generator<void, Effect> {
  const { before, after, edges, sinceUs, untilUs } = change;
  const residents = new Residents(before.containers);
  const told = toldOnce(edges).map((edge) => {
    return { edge, own: residents.own(edge), address: residents.addressOf(edge) };
  });
  yield;
  const containers = [...before.containers, ...residents.ghosts];
  // What nobody asks costs nothing: a new policy mostly is about few of the containers, or about none that has called anybody.
  let evaluators: { readonly before: Evaluator; readonly after: Evaluator } | undefined;
  const ask = (connection: Connection) => {
    evaluators ??= { before: new Evaluator({ ...before, containers }), after: new Evaluator({ ...after, containers }) };
    return { was: evaluators.before.evaluate(connection), becomes: evaluators.after.evaluate(connection) };
  };
  const policies = changedPolicies(change);
  const isSubject = (it: WorldContainer) => policies.some((policy) => selects(policy, it));
  const subjects = new Set(containers.filter(isSubject).flatMap((it) => it.addresses));
  for (const { addresses, backends } of before.services)
    if (backends.some((it) => subjects.has(it))) for (const it of addresses) subjects.add(it);

  const answers = new Map<string, { before: Verdict; after: Verdict; rule: string | null }>();
  const sums = new Map<string, Sum>();
  const count = { refused: 0, accepted: 0, marked: 0, unchanged: 0, unknown: 0 };
  for (const { edge, own, address } of told) {
    if (address === null) {
      count.unknown += edge.flows;
      continue;
    }
    // Rules are those of policies about one of the ends.
    if (!subjects.has(address) && !isSubject(own)) {
      count.unchanged += edge.flows;
      continue;
    }
    const { protocol, direction } = unpackKind(edge.kind);
    const connection: Connection = {
      container: own,
      direction: direction === EGRESS ? 'egress' : 'ingress',
      address,
      protocol,
      port: edge.port,
      names: edge.name === null ? [] : [edge.name.toLowerCase()],
    };
    const key = [placeOf(own), direction, address, protocol, edge.port, edge.name].join('\0');
    let answer = answers.get(key);
    if (!answer) {
      if (answers.size >= MOST_QUESTIONS) {
        count.unknown += edge.flows;
        continue;
      }
      const { was, becomes } = ask(connection);
      const rule = becomes.policy === null ? null : `${becomes.policy}:${becomes.rule}`;
      answer = { before: was.verdict, after: becomes.verdict, rule };
      answers.set(key, answer);
      if (answers.size % SLICE === 0) yield;
    }
    if (answer.before === answer.after) count.unchanged += edge.flows;
    else {
      if (answer.after === 'denied') count.refused += edge.flows;
      else if (answer.before === 'denied') count.accepted += edge.flows;
      else if (answer.after === 'audit') count.marked += edge.flows;
      else count.unchanged += edge.flows;
      addTo(sums, edge, connection, answer);
    }
  }
  const running = before.containers.filter((it) => canBePeer(it) && documents.some((one) => selects(one, it)));
  const sorted = [...sums.values()].sort((a, b) => b.flows - a.flows);
  return {
    since: timeText(sinceUs),
    until: timeText(untilUs),
    selects: {
      containers: running.length,
      workloads: [...new Set(running.map(workloadOf))].sort().slice(0, MOST_WORKLOADS),
    },
    ...count,
    lines: sorted.slice(0, MOST_LINES).map(({ line, flows, lastUs, examples }) => {
      return { ...line, flows, last: timeText(lastUs), examples: [...examples.values()] };
    }),
    more: Math.max(0, sorted.length - MOST_LINES),
  };
}

function addTo(
  sums: Map<string, Sum>,
  edge: EffectInput,
  { container, direction, protocol: number, port }: Connection,
  answer: { before: Verdict; after: Verdict; rule: string | null },
): void {
  const [name, peer, protocol] = [ownSide(edge).name, otherSide(edge).name, protocolName(number)];
  const line = { container: name, direction, peer, port, protocol, ...answer };
  const key = Object.values(line).join('\0');
  const sum = sums.get(key) ?? { line, flows: 0, lastUs: 0, examples: new Map() };
  sums.set(key, sum);
  sum.flows += edge.flows;
  sum.lastUs = Math.max(sum.lastUs, edge.lastUs);
  const instance = [container.namespace, container.pod, container.name].filter((part) => part !== '').join('/');
  const at = `${instance}\0${edge.address}`;
  if (!sum.examples.has(at) && sum.examples.size >= MOST_EXAMPLES) return;
  const last = timeText(Math.max(edge.lastUs, 0));
  sum.examples.set(at, { container: instance, node: container.node, address: edge.address, name: edge.name, last });
}
