// SPDX-License-Identifier: Apache-2.0
//
// From what was seen to the smallest set of readable policies that accepts it, one for each workload container. What a person
// should judge is listed apart and accepted by nothing. The same input gives the same output, whatever its order.
import { isLoopback } from '../flows/ends.js';
import { compare, grouped } from '../flows/group.js';
import { workloadOf } from '../flows/workload.js';
import type { Direction, Network, Service } from '../policy/index.js';
import { callKey, callsOf, farEnds } from './far_ends.js';
import { Labelling } from './labels.js';
import { nameOf, type PeerContext, peersOf } from './peers.js';
import { canBeNamed } from './ports.js';
import { type Generality, type LearnedRule, type PeerSeen, RuleWriter } from './rules.js';
import { type Place, peerText, type Seen, workloadKey } from './seen.js';

export interface LearnOptions extends Generality {
  /** Whose containers get policies; null: all. */
  readonly namespaces: readonly string[] | null;
  readonly mode: 'Audit' | 'Enforce';
}

export const USUAL_OPTIONS: LearnOptions = { namespaces: null, mode: 'Audit', networks: 16, ports: 16, names: null };

export interface LearnInput {
  readonly seen: readonly Seen[];
  /** All that were there in that time, so that labels which tell workloads apart can be found. */
  readonly containers: readonly Place[];
  readonly services: readonly Service[];
  readonly apiServer: readonly Network[];
}

export type Reason = 'denied' | 'one-off' | 'never-answered' | 'protocol' | 'unnamed';

export interface Apart {
  readonly namespace: string;
  readonly workload: string;
  readonly container: string;
  readonly direction: Direction;
  readonly peer: string;
  readonly protocol: number;
  readonly port: number;
  readonly flows: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly reason: Reason;
}

export interface LearnedPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly workload: string;
  readonly subject: { readonly pods?: object; readonly containers: readonly string[] };
  readonly mode: 'Audit' | 'Enforce';
  readonly egress: readonly LearnedRule[];
  readonly ingress: readonly LearnedRule[];
  readonly notes: readonly string[];
  readonly firstUs: number;
  readonly lastUs: number;
}

export interface Learned {
  readonly policies: readonly LearnedPolicy[];
  readonly apart: readonly Apart[];
  /** What the policies are made of. */
  readonly accepted: readonly Seen[];
}

const HOUR_US = 3600e6;
const DAY_US = 86_400e6;
const TCP = 6;

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '');
const isJob = ({ labels }: Place): boolean => 'job-name' in labels || 'batch.kubernetes.io/job-name' in labels;

/** Whom a rule would name: a workload's replicas, and the addresses of a name, come and go, and each may be met once. */
function whoKey(it: Seen): string {
  const { peer, address, backend } = it;
  if (peer && (peer.pod !== '' || peer.container !== ''))
    return `${peerText(it)} ${backend !== null && backend.address !== address ? address : ''}`;
  return nameOf(it) ?? address;
}

/** A tuple: one peer, one port, one direction of one workload container. */
const tupleKey = (it: Seen): string =>
  [it.direction, whoKey(it), it.backend?.port ?? '', it.protocol, it.port].join(' ');

/** The same order, whatever that of the input. */
const orderKey = (it: Seen): string =>
  [
    ...[it.direction, peerText(it), it.backend?.address ?? '', it.address, it.protocol, it.port],
    ...[it.firstUs, it.lastUs, it.flows, it.verdict, it.answered, it.name, it.own.node, it.own.pod],
  ].join(' ');

class WorkloadContainer {
  readonly #own: Place;
  readonly #seen: readonly Seen[];
  readonly #context: PeerContext;
  readonly #options: LearnOptions;
  readonly #calls: ReadonlySet<string>;
  readonly #firstUs: number;
  readonly #lastUs: number;

  constructor(seen: readonly Seen[], context: PeerContext, options: LearnOptions, calls: ReadonlySet<string>) {
    this.#calls = calls;
    this.#own = (seen[0] as Seen).own;
    this.#seen = seen;
    this.#context = context;
    this.#options = options;
    this.#firstUs = seen.reduce((least, it) => Math.min(least, it.firstUs), Number.POSITIVE_INFINITY);
    this.#lastUs = seen.reduce((most, it) => Math.max(most, it.lastUs), 0);
  }

  /** null: there is nothing to accept or refuse here. */
  #reasonFor(tuple: readonly Seen[]): Reason | null {
    const [one] = tuple;
    if (!one) return null;
    if (one.own.container === '') return 'unnamed';
    const passed = tuple.filter((it) => it.verdict !== 'denied');
    if (passed.length === 0) return 'denied';
    if (!canBeNamed(one.protocol)) return 'protocol';
    if (one.protocol === TCP && passed.every((it) => !it.answered)) return 'never-answered';
    const flows = passed.reduce((sum, it) => sum + it.flows, 0);
    // What is seen once in a short time says little; a job does each thing once, and has it done to others; what lasts is no accident.
    const isBrief = passed.every((it) => it.lastUs - it.firstUs < HOUR_US);
    const byJob = [this.#own, ...tuple.flatMap(({ peer }) => peer ?? [])].some(isJob);
    if (flows === 1 && isBrief && !byJob && this.#lastUs - this.#firstUs >= DAY_US) return 'one-off';
    return null;
  }

  /** Which the other end's policy, or what always holds, accepts. */
  #isCovered(it: Seen): boolean {
    if (isLoopback(it.address)) return true;
    if (it.direction === 'egress') return false;
    const { peer, own } = it;
    if (!peer) return false;
    const isNode = peer.pod === '' && peer.container === '';
    if (isNode) return peer.node === own.node;
    if (peer.namespace !== own.namespace) return false;
    // The called end often knows the pod alone. A rule for all of it would open its other containers, too.
    return this.#calls.has(callKey(peer, own, it.protocol, it.port));
  }

  learn(): { policy: LearnedPolicy; apart: Apart[]; accepted: Seen[] } {
    const { namespace } = this.#own;
    const workload = workloadOf(this.#own);
    const { container } = this.#own;
    const apart: Apart[] = [];
    const accepted: Seen[] = [];
    const relevant = this.#seen.filter((it) => !this.#isCovered(it));
    for (const [, tuple] of grouped(relevant.map((it) => [tupleKey(it), it] as const))) {
      const reason = this.#reasonFor(tuple);
      const refused = tuple.filter((it) => it.verdict === 'denied');
      const passed = tuple.filter((it) => it.verdict !== 'denied');
      if (reason === null) for (const it of passed) accepted.push(it);
      if (reason !== null || refused.length > 0)
        apart.push(this.#apart(reason === null ? refused : tuple, reason ?? 'denied'));
    }
    const taken = new Set<string>();
    const rules = (direction: Direction) =>
      new RuleWriter(direction, this.#options, taken).write(
        accepted
          .filter((it) => it.direction === direction)
          .flatMap((seen) => peersOf(seen, this.#context).map((peer): PeerSeen => ({ seen, peer }))),
      );
    const selection = this.#context.labelling.of(this.#own);
    const pods =
      Object.keys(selection.matchLabels).length > 0
        ? { pods: { matchLabels: selection.matchLabels } }
        : selection.names.length > 0
          ? { pods: { names: selection.names } }
          : {};
    const notes = selection.also.map(
      (it) => `no label tells it from ${it}, whose containers of this name are selected too`,
    );
    const policy = {
      namespace,
      name: slug([...new Set([workload, container])].filter((it) => it !== '').join('-')) || 'container',
      workload,
      subject: { ...pods, containers: [container] },
      mode: this.#options.mode,
      egress: rules('egress'),
      ingress: rules('ingress'),
      notes,
      firstUs: this.#firstUs,
      lastUs: this.#lastUs,
    };
    return { policy, apart, accepted };
  }

  #apart(tuple: readonly Seen[], reason: Reason): Apart {
    const one = tuple[0] as Seen;
    return {
      namespace: one.own.namespace,
      workload: workloadOf(one.own),
      container: one.own.container,
      direction: one.direction,
      peer: peerText(one),
      protocol: one.protocol,
      port: one.port,
      flows: tuple.reduce((sum, it) => sum + it.flows, 0),
      firstUs: tuple.reduce((least, it) => Math.min(least, it.firstUs), Number.POSITIVE_INFINITY),
      lastUs: tuple.reduce((most, it) => Math.max(most, it.lastUs), 0),
      reason,
    };
  }
}

const apartKey = (it: Apart): string =>
  [it.namespace, it.workload, it.container, it.direction, it.peer, it.protocol, it.port, it.reason].join('\0');

export function learn(input: LearnInput, options: LearnOptions = USUAL_OPTIONS): Learned {
  const given = input.seen.filter(({ own }) => options.namespaces?.includes(own.namespace) ?? true);
  const wanted = [...given, ...farEnds(given)];
  const context: PeerContext = {
    labelling: new Labelling(
      [...input.containers, ...input.seen.flatMap(({ own, peer }) => [own, peer ?? []].flat())].filter(
        (it) => it.pod !== '' || it.container !== '',
      ),
    ),
    services: input.services,
    apiServer: input.apiServer,
  };
  const sorted = wanted
    .map((it) => ({ it, key: orderKey(it) }))
    .sort((a, b) => compare(a.key, b.key))
    .map(({ it }) => it);
  const groups = grouped(sorted.map((it) => [`${workloadKey(it.own)}/${it.own.container}`, it] as const));
  // The caller's own node knows which container called.
  const calls = callsOf(given, 'egress');
  const policies: LearnedPolicy[] = [];
  const apart: Apart[] = [];
  const accepted: Seen[] = [];
  const names = new Set<string>();
  for (const [, seen] of [...groups].sort(([a], [b]) => compare(a, b))) {
    const one = new WorkloadContainer(seen, context, options, calls);
    const learned = one.learn();
    for (const it of learned.apart) apart.push(it);
    for (const it of learned.accepted) accepted.push(it);
    if (learned.policy.subject.containers.includes('')) continue;
    let name = learned.policy.name;
    for (let number = 2; names.has(`${learned.policy.namespace}/${name}`); number++)
      name = `${learned.policy.name}-${number}`;
    names.add(`${learned.policy.namespace}/${name}`);
    policies.push({ ...learned.policy, name });
  }
  return { policies, accepted, apart: apart.sort((a, b) => compare(apartKey(a), apartKey(b))) };
}
