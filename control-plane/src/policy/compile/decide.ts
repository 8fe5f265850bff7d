// SPDX-License-Identifier: Apache-2.0
//
// The verdict of one connection between two profiles, with all that is known of the address.
import { API_SERVER, DEFAULT_DENY, type Direction, DNS, LOOPBACK, NODE, TCP, UDP } from '../model.js';
import { type CatalogPolicy, NO_RULE } from './catalog.js';
import { LIFT, VERDICT } from './compiled.js';
import type { Match } from './match.js';

export interface Decision {
  readonly verdict: number;
  readonly ref: number;
  readonly lift: number;
  /** NO_RULE: a name leads to "allowed". */
  readonly lifted: number;
}

/** What the default of isolation depends on. */
export interface Circumstances {
  readonly loopback: boolean;
  readonly ownNode: boolean;
  readonly apiServer: boolean;
  readonly dns: boolean;
}

/** Policies of one side that isolate it, in order. */
export interface Side {
  readonly matches: readonly Match[];
  readonly isolating: readonly CatalogPolicy[];
}

export interface Situation {
  readonly direction: Direction;
  readonly own: Side;
  readonly far: Side;
  readonly circumstances: Circumstances;
  /** Isolation of the far side says nothing: what it was asked for is not known here. */
  readonly farIsOpen: boolean;
  /** Rules of the own side accept names. */
  readonly named: boolean;
}

interface Opinion {
  readonly denies: boolean;
  readonly ref: number;
  readonly byDefault: boolean;
}

export interface Point {
  readonly protocol: number;
  readonly port: number;
  readonly target: number;
}

function holds({ ports, target }: Match, point: Point): boolean {
  if (ports === null) return true;
  const port = target ? point.target : point.port;
  for (const range of ports)
    if (range.protocol === point.protocol && range.first <= port && port <= range.last) return true;
  return false;
}

/** Loopback is accepted at both ends, the rest where it is seen. */
function byDefault(
  isolating: readonly CatalogPolicy[],
  at: Circumstances,
  direction: Direction,
  point: Point,
): Opinion {
  const first = isolating[0] as CatalogPolicy;
  const accept = (name: string) => ({ denies: false, ref: first.builtin(name), byDefault: true });
  const strict = at.loopback ? isolating.find(({ policy }) => policy.loopback === 'Deny') : undefined;
  if (at.loopback && !strict) return accept(LOOPBACK);
  if (direction === 'ingress' && at.ownNode) return accept(NODE);
  if (direction === 'egress' && at.apiServer) return accept(API_SERVER);
  const asks = point.port === 53 && (point.protocol === TCP || point.protocol === UDP);
  if (direction === 'egress' && at.dns && asks) return accept(DNS);
  return { denies: true, ref: (strict ?? first).builtin(DEFAULT_DENY), byDefault: true };
}

function opinion(situation: Situation, end: 'own' | 'far', point: Point, enforced: boolean): Opinion | undefined {
  const { matches, isolating } = situation[end];
  for (const match of matches) {
    if ((enforced && !match.enforced) || !holds(match, point)) continue;
    return match.may ? undefined : { denies: match.deny, ref: match.ref, byDefault: false };
  }
  const counting = enforced ? isolating.filter((policy) => policy.enforced) : isolating;
  if (counting.length === 0) return undefined;
  const { circumstances, direction, farIsOpen } = situation;
  if (end === 'own') return byDefault(counting, circumstances, direction, point);
  if (farIsOpen && !circumstances.loopback) return undefined;
  const seen = { loopback: circumstances.loopback, ownNode: false, apiServer: false, dns: false };
  return byDefault(counting, seen, direction, point);
}

const decision = (verdict: number, ref: number, lift: number = LIFT.none, lifted = NO_RULE): Decision => ({
  verdict,
  ref,
  lift,
  lifted,
});

export function decide(situation: Situation, point: Point): Decision {
  const own = opinion(situation, 'own', point, true);
  const far = opinion(situation, 'far', point, true);
  const ownAll = opinion(situation, 'own', point, false);
  const farAll = opinion(situation, 'far', point, false);
  const named = situation.named && situation.direction === 'egress';
  if (own?.denies) {
    if (!named || !own.byDefault || far?.denies) return decision(VERDICT.denied, own.ref);
    const refuses = ownAll?.denies && !ownAll.byDefault ? ownAll : farAll?.denies ? farAll : undefined;
    return decision(VERDICT.denied, own.ref, LIFT.enforced, refuses?.ref ?? NO_RULE);
  }
  if (far?.denies) return decision(VERDICT.denied, far.ref);
  if (ownAll?.denies) {
    const liftable = named && ownAll.byDefault && !farAll?.denies;
    return decision(VERDICT.audit, ownAll.ref, liftable ? LIFT.audit : LIFT.none);
  }
  if (farAll?.denies) return decision(VERDICT.audit, farAll.ref);
  return decision(VERDICT.allowed, (own ?? far ?? ownAll ?? farAll)?.ref ?? NO_RULE);
}

const RANK: Readonly<Record<number, number>> = { [VERDICT.allowed]: 0, [VERDICT.audit]: 1, [VERDICT.denied]: 2 };

const ease = ({ lift, lifted }: Decision): number => (lift === LIFT.none ? 2 : lifted === NO_RULE ? 0 : 1);

/** Of several who may be meant: the best verdict, then what a name can better, then the first rule. */
export function better(a: Decision, b: Decision): Decision {
  const order =
    (RANK[a.verdict] ?? 0) - (RANK[b.verdict] ?? 0) || ease(a) - ease(b) || a.ref - b.ref || a.lifted - b.lifted;
  return order <= 0 ? a : b;
}

export function same(a: Decision, b: Decision): boolean {
  return a.verdict === b.verdict && a.ref === b.ref && a.lift === b.lift && a.lifted === b.lifted;
}
