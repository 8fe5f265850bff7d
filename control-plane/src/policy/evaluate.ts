// SPDX-License-Identifier: Apache-2.0
//
// What the policies mean, written plainly and apart from the compiler: tests compare the two, and `cellwall explain` shows it.
import { type Match, type Matched, type Meeting, matchFar, matchMirrored, matchOwn } from './evaluate_rules.js';
import { Places, type Target } from './evaluate_world.js';
import {
  type Action,
  API_SERVER,
  BUILTIN_RULES,
  DEFAULT_DENY,
  type Direction,
  DNS,
  isCluster,
  LOOPBACK,
  type Mode,
  NODE,
  type Policy,
  policyKey,
  type Rule,
  TCP,
  UDP,
} from './model.js';
import { nameMatches } from './names.js';
import { addressBits, isWithin, LOOPBACK_NETWORKS } from './network.js';
import { matches, selects } from './select.js';
import type { World, WorldContainer } from './world.js';

export interface Connection {
  readonly container: WorldContainer;
  readonly direction: Direction;
  /** Of the far side. */
  readonly address: string;
  readonly protocol: number;
  /** Of the destination; of ICMP, the type. */
  readonly port: number;
  /** Under which the container learned the address, lower case. */
  readonly names?: readonly string[];
}

export type Verdict = 'allowed' | 'audit' | 'denied';

/** Who had a say; null: nobody. */
export interface Said {
  readonly policy: string;
  readonly rule: string;
  readonly denies: boolean;
}

export interface RuleTrace {
  readonly policy: string;
  readonly rule: string;
  readonly action: Action;
  readonly mode: Mode;
  /** By a policy of the far end, for the other direction. */
  readonly mirrored: boolean;
  readonly match: Match;
  readonly why: string;
}

export interface SideTrace {
  readonly direction: Direction;
  /** Whose side this is: the container that was asked about, or who is at the far end. */
  readonly end: 'own' | 'far';
  readonly selectedBy: readonly string[];
  readonly isolatedBy: readonly string[];
  /** In the order in which they are asked. */
  readonly rules: readonly RuleTrace[];
  readonly enforced: Said | null;
  readonly all: Said | null;
}

export interface CandidateTrace {
  readonly container: WorldContainer | null;
  readonly verdict: Verdict;
  readonly said: Said | null;
  readonly egress: SideTrace;
  readonly ingress: SideTrace;
}

/** policy: null with rule null means that no rule had a say. */
export interface Evaluation {
  readonly verdict: Verdict;
  readonly policy: string | null;
  readonly rule: string | null;
  readonly trace: {
    /** false: no policy is about the container, nor about whom it may call, so nothing is judged at this end. */
    readonly judged: boolean;
    readonly selectedBy: readonly string[];
    /** The rule that accepted a name, if one changed the verdict. */
    readonly name: string | null;
    readonly candidates: readonly CandidateTrace[];
    /** Whose verdict it is. */
    readonly decidedBy: number;
  };
}

interface Entry extends Matched {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly slot: number;
  readonly mirrored: boolean;
}

interface Side {
  readonly direction: Direction;
  readonly end: 'own' | 'far';
  readonly selecting: readonly Policy[];
  readonly entries: readonly Entry[];
}

interface Opinion extends Said {
  readonly of: Policy;
  readonly slot: number;
}

interface Outcome {
  readonly verdict: Verdict;
  readonly opinion: Opinion | null;
  /** What a name accepted by a policy of this mode, or an enforced one, would lead to. */
  readonly lift: { readonly mode: Mode; readonly verdict: Verdict; readonly opinion: Opinion | null } | null;
}

const opposite = (direction: Direction): Direction => (direction === 'egress' ? 'ingress' : 'egress');
const tierOf = ({ policy, rule }: Entry): number => (isCluster(policy) ? 0 : 2) + (rule.action === 'Deny' ? 0 : 1);
const slotOf = (policy: Policy, direction: Direction, index: number): number =>
  direction === 'egress' ? index : policy.egress.length + index;
const builtinSlot = (policy: Policy, rule: string): number =>
  policy.egress.length + policy.ingress.length + (BUILTIN_RULES as readonly string[]).indexOf(rule);

export class Evaluator {
  readonly #places: Places;

  constructor(world: World) {
    this.#places = new Places(world);
  }

  evaluate(connection: Connection): Evaluation {
    const { container, direction, protocol, port } = connection;
    const address = addressBits(connection.address);
    if (address === undefined) throw new TypeError(`not an address: ${connection.address}`);
    const selectedBy = this.#places.selecting(container).map(policyKey);
    if (!this.#isJudged(container)) {
      const trace = { judged: false, selectedBy, name: null, candidates: [], decidedBy: -1 };
      return { verdict: 'allowed', policy: null, rule: null, trace };
    }
    const found = this.#places
      .targets(address, container.node, direction === 'egress', protocol, port)
      .map((target) => this.#judge(connection, address, target));
    const first = found.reduce((best, it) => (this.#compare(it.outcome, best.outcome) < 0 ? it : best));
    const name = this.#byName(connection, first.outcome);
    const { verdict, opinion } = name ?? first.outcome;
    return {
      verdict,
      policy: opinion?.policy ?? null,
      rule: opinion?.rule ?? null,
      trace: {
        judged: true,
        selectedBy,
        name: name?.name ?? null,
        candidates: found.map((it) => it.trace),
        decidedBy: found.indexOf(first),
      },
    };
  }

  /** Policies can be about a container as their subject, as a peer of others, or as one whom others are closed to. */
  #isJudged(container: WorldContainer): boolean {
    return this.#places.policies.some(
      (policy) =>
        policy.isolated.ingress ||
        policy.ingress.some((rule) => rule.action === 'Deny' && rule.peers.length === 0) ||
        selects(policy, container) ||
        [...policy.egress, ...policy.ingress].some((rule) =>
          rule.peers.some((peer) => peer.kind === 'containers' && matches(peer.selector, container)),
        ),
    );
  }

  #judge(connection: Connection, address: bigint, target: Target) {
    const { container: own, direction, protocol, port } = connection;
    const far = target.container;
    const meeting = { places: this.#places, own, direction, far, address, protocol, port, targetPort: target.port };
    const ownSide = this.#side(meeting, direction, 'own');
    const farSide = this.#side(meeting, opposite(direction), 'far');
    const [egress, ingress] = direction === 'egress' ? [ownSide, farSide] : [farSide, ownSide];
    const outcome = this.#decide(meeting, ownSide, farSide);
    const { verdict, opinion } = outcome;
    const trace: CandidateTrace = {
      container: far,
      verdict,
      said: plain(opinion),
      egress: this.#traceOf(meeting, egress),
      ingress: this.#traceOf(meeting, ingress),
    };
    return { outcome, trace };
  }

  #side(meeting: Meeting, direction: Direction, end: 'own' | 'far'): Side {
    const { own, far } = meeting;
    const here = end === 'own' ? own : far;
    if (!here) return { direction, end, selecting: [], entries: [] };
    const there = end === 'own' ? far : own;
    const selecting = this.#places.selecting(here);
    const match = end === 'own' ? matchOwn : matchFar;
    const written = selecting.flatMap((policy) =>
      policy[direction].map((rule, index): Entry => {
        const slot = slotOf(policy, direction, index);
        return { policy, rule, slot, mirrored: false, ...match(rule, meeting) };
      }),
    );
    const mirrored = (there ? this.#places.selecting(there) : []).flatMap((policy) =>
      policy[opposite(direction)].map((rule, index): Entry => {
        const slot = slotOf(policy, opposite(direction), index);
        return { policy, rule, slot, mirrored: true, ...matchMirrored(policy, rule, here, meeting) };
      }),
    );
    const { policies } = this.#places;
    const entries = [...written, ...mirrored].sort(
      (a, b) => tierOf(a) - tierOf(b) || policies.indexOf(a.policy) - policies.indexOf(b.policy) || a.slot - b.slot,
    );
    return { direction, end, selecting, entries };
  }

  /** What a side says; null: nothing. enforced: of its policies in that mode alone. */
  #opinion(side: Side, meeting: Meeting, enforced: boolean): Opinion | null {
    const counts = (policy: Policy) => !enforced || policy.mode === 'Enforce';
    const hit = side.entries.find(({ policy, match }) => match !== 'no' && counts(policy));
    if (hit?.match === 'may') return null;
    if (hit) return opinionOf(hit.policy, hit.rule.name, hit.slot, hit.rule.action === 'Deny');
    const isolating = side.selecting.filter((policy) => policy.isolated[side.direction] && counts(policy));
    const first = isolating[0];
    if (!first) return null;
    const { options } = this.#places.world;
    // The address that the far end asked for is not known here, so it may have been one of these.
    const unknown = options.apiServer.length + options.dnsServers.length > 0;
    if (side.end === 'far' && side.direction === 'egress' && unknown && !this.#isLoopback(meeting)) return null;
    return this.#byDefault(side, meeting, isolating, first);
  }

  #byDefault(side: Side, meeting: Meeting, isolating: readonly Policy[], first: Policy): Opinion {
    const { own, address, protocol, port } = meeting;
    const { options } = this.#places.world;
    const builtin = (policy: Policy, rule: string) =>
      opinionOf(policy, rule, builtinSlot(policy, rule), rule === DEFAULT_DENY);
    const loopback = this.#isLoopback(meeting);
    const strict = loopback ? isolating.find((policy) => policy.loopback === 'Deny') : undefined;
    if (loopback && !strict) return builtin(first, LOOPBACK);
    if (side.end === 'own' && side.direction === 'ingress' && this.#places.isNode(address, own.node))
      return builtin(first, NODE);
    if (side.end === 'own' && side.direction === 'egress') {
      if (isWithin(options.apiServer, address)) return builtin(first, API_SERVER);
      const asks = port === 53 && (protocol === TCP || protocol === UDP);
      if (asks && isWithin(options.dnsServers, address)) return builtin(first, DNS);
    }
    return builtin(strict ?? first, DEFAULT_DENY);
  }

  /** Addresses of the own pod are as good as 127.0.0.1. */
  #isLoopback({ own, address }: Meeting): boolean {
    return isWithin(LOOPBACK_NETWORKS, address) || this.#places.addressesOf(own).includes(address);
  }

  /** Both sides have to allow it. Where both have a say, the own one is named. */
  #decide(meeting: Meeting, own: Side, far: Side): Outcome {
    const [here, there] = [this.#opinion(own, meeting, true), this.#opinion(far, meeting, true)];
    const [hereAll, thereAll] = [this.#opinion(own, meeting, false), this.#opinion(far, meeting, false)];
    const named = own.direction === 'egress' && own.selecting.some((policy) => policy.egress.some(hasNames));
    const isDefault = (opinion: Opinion) => opinion.rule === DEFAULT_DENY;
    if (here?.denies) {
      const liftable = named && isDefault(here) && !there?.denies;
      const refusing = hereAll?.denies && !isDefault(hereAll) ? hereAll : thereAll?.denies ? thereAll : null;
      const lift = { mode: 'Enforce', verdict: refusing ? 'audit' : 'allowed', opinion: refusing } as const;
      return { verdict: 'denied', opinion: here, lift: liftable ? lift : null };
    }
    if (there?.denies) return { verdict: 'denied', opinion: there, lift: null };
    if (hereAll?.denies) {
      const liftable = named && isDefault(hereAll) && !thereAll?.denies;
      const lift = { mode: 'Audit', verdict: 'allowed', opinion: null } as const;
      return { verdict: 'audit', opinion: hereAll, lift: liftable ? lift : null };
    }
    if (thereAll?.denies) return { verdict: 'audit', opinion: thereAll, lift: null };
    return { verdict: 'allowed', opinion: here ?? there ?? hereAll ?? thereAll, lift: null };
  }

  /** Of several who may be meant: the best verdict, what a name can better, and then the first rule. */
  #compare(a: Outcome, b: Outcome): number {
    const verdicts = ['allowed', 'audit', 'denied'];
    const lifts = ({ lift }: Outcome) => (lift ? (lift.verdict === 'allowed' ? 0 : 1) : 2);
    const place = (opinion: Opinion | null | undefined) =>
      opinion ? this.#places.policies.indexOf(opinion.of) : Number.MAX_SAFE_INTEGER;
    const order = (x: Opinion | null | undefined, y: Opinion | null | undefined) =>
      place(x) - place(y) || (x?.slot ?? 0) - (y?.slot ?? 0);
    return (
      verdicts.indexOf(a.verdict) - verdicts.indexOf(b.verdict) ||
      lifts(a) - lifts(b) ||
      order(a.opinion, b.opinion) ||
      order(a.lift?.opinion, b.lift?.opinion)
    );
  }

  /** An Accept by name is only asked where isolation has denied. */
  #byName({ container, names, protocol, port }: Connection, { lift }: Outcome) {
    if (!lift) return undefined;
    const rules = this.#places
      .selecting(container)
      .flatMap((policy) =>
        policy.egress
          .map((rule, index) => ({ policy, rule, slot: slotOf(policy, 'egress', index) }))
          .filter(
            ({ rule }) =>
              rule.ports.length === 0 ||
              rule.ports.some((it) => 'first' in it && it.protocol === protocol && it.first <= port && port <= it.last),
          ),
      );
    for (const name of names ?? []) {
      const accepting = rules.filter(({ rule }) => namesOf(rule).some((pattern) => nameMatches(pattern, name)));
      const enforced = accepting.find(({ policy }) => policy.mode === 'Enforce');
      const found = lift.mode === 'Enforce' ? enforced : (enforced ?? accepting[0]);
      if (!found) continue;
      const opinion = lift.opinion ?? opinionOf(found.policy, found.rule.name, found.slot, false);
      return { verdict: lift.verdict, opinion, name: `${policyKey(found.policy)}:${found.rule.name}` };
    }
    return undefined;
  }

  #traceOf(meeting: Meeting, side: Side): SideTrace {
    return {
      direction: side.direction,
      end: side.end,
      selectedBy: side.selecting.map(policyKey),
      isolatedBy: side.selecting.filter((policy) => policy.isolated[side.direction]).map(policyKey),
      rules: side.entries.map(({ policy, rule, mirrored, match, why }) => ({
        policy: policyKey(policy),
        rule: rule.name,
        action: rule.action,
        mode: policy.mode,
        mirrored,
        match,
        why,
      })),
      enforced: plain(this.#opinion(side, meeting, true)),
      all: plain(this.#opinion(side, meeting, false)),
    };
  }
}

function namesOf(rule: Rule): readonly string[] {
  return rule.peers.flatMap((peer) => (peer.kind === 'domainNames' ? peer.names : []));
}

function hasNames(rule: Rule): boolean {
  return namesOf(rule).length > 0;
}

function opinionOf(of: Policy, rule: string, slot: number, denies: boolean): Opinion {
  return { policy: policyKey(of), rule, denies, of, slot };
}

function plain(opinion: Opinion | null): Said | null {
  return opinion && { policy: opinion.policy, rule: opinion.rule, denies: opinion.denies };
}

export function evaluate(world: World, connection: Connection): Evaluation {
  return new Evaluator(world).evaluate(connection);
}
