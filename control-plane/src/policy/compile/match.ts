// SPDX-License-Identifier: Apache-2.0
//
// Rules with the ports at which they hold, once it is known who is at both ends.
import type { Direction, PortMatch, PortRange } from '../model.js';
import type { Catalog, CatalogPolicy, CatalogRule } from './catalog.js';
import type { Profile } from './profiles.js';
import type { ServiceRole } from './remotes.js';

export interface Match {
  readonly order: number;
  readonly ref: number;
  readonly deny: boolean;
  readonly enforced: boolean;
  /** For the far end to decide: it accepts, or not. */
  readonly may: boolean;
  /** null: all, of every protocol. */
  readonly ports: readonly PortRange[] | null;
  /** By the port at which the destination gets it, which is another one behind a service. */
  readonly target: boolean;
}

const opposite = (direction: Direction): Direction => (direction === 'egress' ? 'ingress' : 'egress');

function ranges(ports: readonly PortMatch[], named: (protocol: number, name: string) => readonly number[]) {
  if (ports.length === 0) return null;
  return ports.flatMap((it): readonly PortRange[] =>
    'portName' in it
      ? named(it.protocol, it.portName).map((port) => ({ protocol: it.protocol, first: port, last: port }))
      : [it],
  );
}

export function matchOf(rule: CatalogRule, ports: readonly PortRange[] | null, target: boolean, may = false): Match {
  const { order, ref, deny, owner } = rule;
  return { order, ref, deny, enforced: owner.enforced, may, ports, target };
}

/** Ports of a rule whose destination is a container of this profile; null as profile: nobody that is known. */
export function portsAt(rule: CatalogRule, destination: Profile | null): readonly PortRange[] | null {
  return ranges(rule.ports, (protocol, name) => destination?.ports(protocol, name) ?? []);
}

/** Ports at which an address belongs to a service: its own ones, or those of its backends. */
export function servicePorts(rule: CatalogRule, { itself, ports }: ServiceRole): readonly PortRange[] | null {
  const named = (protocol: number, name: string) =>
    ports.filter((it) => it.protocol === protocol && it.name === name).map((it) => it.port);
  const wanted = ranges(rule.ports, named);
  if (itself) return wanted;
  return ports
    .filter(
      (it) =>
        wanted === null ||
        wanted.some((range) => range.protocol === it.protocol && range.first <= it.port && it.port <= range.last),
    )
    .map(({ protocol, target }) => ({ protocol, first: target, last: target }));
}

/** What the far end can bring into it. */
export interface View {
  readonly id: number;
  /** Rules that have a say at the own side. */
  readonly own: readonly Match[];
  readonly far: readonly Match[];
  readonly isolating: readonly CatalogPolicy[];
}

/** Views of containers of one profile on those of others, in one direction. */
export class Views {
  readonly #own: Profile;
  readonly #direction: Direction;
  readonly #known = new Map<Profile, View>();
  /** Of profiles whose rules have no say, by what isolates them. */
  readonly #bare = new Map<string, View>();
  #next = 1;
  /** Rules of the own side that are about containers, and what the far side needs of them. */
  readonly #rules: readonly CatalogRule[];
  readonly #peers: readonly number[];
  /** Far policies with rules that have a say at the own side, and at the far side. */
  readonly #mirroring: ReadonlySet<CatalogPolicy>;
  readonly #naming: ReadonlySet<CatalogPolicy>;
  readonly #anybody: ReadonlySet<CatalogPolicy>;

  constructor(catalog: Catalog, own: Profile, direction: Direction) {
    this.#own = own;
    this.#direction = direction;
    this.#rules = own.policies.flatMap(({ rules }) => rules[direction].filter((rule) => rule.containers.length > 0));
    this.#peers = [...new Set(this.#rules.flatMap(({ containers }) => containers.map(({ exact }) => exact)))];
    this.#mirroring = catalog.naming('mirror', opposite(direction), own.selectors);
    this.#naming = catalog.naming('exact', opposite(direction), own.selectors);
    this.#anybody = catalog.anybody[opposite(direction)];
  }

  /** Some rule has a say at the own side because it is this one that is there. */
  touches(far: Profile): boolean {
    for (const peer of this.#peers) if (far.has.has(peer)) return true;
    for (const policy of far.policies) if (this.#mirroring.has(policy)) return true;
    return false;
  }

  of(far: Profile): View {
    const known = this.#known.get(far);
    if (known) return known;
    const concerned = far.policies.some((policy) => this.#naming.has(policy) || this.#anybody.has(policy));
    const isolating = far.isolating[opposite(this.#direction)];
    if (!concerned && !this.touches(far)) return this.#bareOf(far, isolating);
    const view = { id: this.#next++, own: this.#ownMatches(far), far: this.#farMatches(far), isolating };
    this.#known.set(far, view);
    return view;
  }

  #bareOf(far: Profile, isolating: readonly CatalogPolicy[]): View {
    const key = far.isolation[opposite(this.#direction)];
    const known = this.#bare.get(key) ?? { id: this.#next++, own: [], far: [], isolating };
    this.#bare.set(key, known);
    return known;
  }

  #ownMatches(far: Profile): Match[] {
    const own = this.#own;
    const destination = this.#direction === 'egress' ? far : own;
    const found: Match[] = [];
    for (const rule of this.#rules)
      if (rule.containers.some(({ exact }) => far.has.has(exact)))
        found.push(matchOf(rule, portsAt(rule, destination), true));
    for (const { rules } of far.policies)
      for (const rule of rules[opposite(this.#direction)])
        if (rule.containers.some(({ mirror }) => own.has.has(mirror)))
          found.push(matchOf(rule, portsAt(rule, destination), true));
    return found;
  }

  #farMatches(far: Profile): Match[] {
    const egress = this.#direction === 'egress';
    const destination = egress ? far : this.#own;
    const found: Match[] = [];
    for (const { rules } of far.policies)
      for (const rule of rules[opposite(this.#direction)]) {
        const meant = rule.everything || rule.containers.some(({ exact }) => this.#own.has.has(exact));
        if (meant) found.push(matchOf(rule, portsAt(rule, destination), true));
        if (rule.deny) continue;
        // Its own end knows better, and the port that it asked for may have been translated on the way.
        if (egress && rule.unknown) found.push(matchOf(rule, portsAt(rule, destination), true, true));
        if (!egress && (rule.unknown || rule.everything)) found.push(matchOf(rule, null, true, true));
      }
    for (const rule of this.#rules)
      if (rule.containers.some(({ mirror }) => far.has.has(mirror)))
        found.push(matchOf(rule, portsAt(rule, destination), true));
    // Of two with the same order, the one that is sure comes first.
    return found.sort((a, b) => a.order - b.order || Number(a.may) - Number(b.may));
  }
}
