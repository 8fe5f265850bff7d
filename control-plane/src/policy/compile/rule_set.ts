// SPDX-License-Identifier: Apache-2.0
//
// The rule set of a profile: what its containers may, towards every network and every identity.
import type { Direction } from '../model.js';
import { addressBytes } from '../network.js';
import type { Catalog, CatalogPolicy } from './catalog.js';
import { Classes } from './classes.js';
import { type CompiledRuleSet, DIRECTION, OWN_POD, RULE_DEFAULT_ALLOW, RULE_NO_POLICY } from './compiled.js';
import { better, decide, type Point, type Side, type Situation } from './decide.js';
import { type Match, type View, Views } from './match.js';
import { type Place, PlacesOfProfile } from './place.js';
import type { Profile } from './profiles.js';
import { type Candidate, nobodyAt, type Remote } from './remotes.js';
import { compileNames, namedRules } from './rule_names.js';
import type { Tree, TreeNode } from './tree.js';

export interface Surroundings {
  readonly catalog: Catalog;
  readonly tree: Tree;
  /** Grows. */
  readonly remotes: readonly Remote[];
  /** Addresses of the API server or of DNS servers are told: far ends may ask for them under addresses not seen here. */
  readonly farIsOpen: boolean;
  numberOf(ref: number): number;
}

interface Half {
  readonly direction: Direction;
  readonly isolating: readonly CatalogPolicy[];
  readonly places: PlacesOfProfile;
  readonly views: Views;
  /** Classes of networks. */
  readonly byNode: Map<TreeNode, number>;
  readonly known: Map<string, number>;
}

const NO_VIEW: View = { id: 0, own: [], far: [], isolating: [] };

const NO_SIDE: Side = { matches: [], isolating: [] };

/** Lists only grow, so that what was added since is an amendment. */
export class RuleSetBuilder {
  readonly profile: Profile;
  readonly set: CompiledRuleSet;
  readonly #around: Surroundings;
  readonly #light: boolean;
  readonly #classes: Classes;
  readonly #halves: readonly Half[];
  readonly #named: boolean;
  #done = 0;

  /** `light`: of a container that no node has told of yet; what the far ends say about it is left to them. */
  constructor(id: number, profile: Profile, around: Surroundings, light: boolean) {
    this.profile = profile;
    this.#around = around;
    this.#light = light;
    const enforced = profile.policies.filter((policy) => policy.enforced);
    const refusing = enforced.filter(
      ({ policy }) => policy.isolated.egress || policy.egress.some((rule) => rule.action === 'Deny'),
    );
    this.set = {
      id,
      policies: [...profile.selectors],
      peers: [],
      ports: [],
      identities: [],
      names: [],
      guarded: profile.policies.length > 0,
      refusesSockets: refusing.length > 0,
      rawSockets: refusing.length > 0 && refusing.every(({ policy }) => policy.rawSockets === 'Allow'),
    };
    const none = this.set.guarded ? RULE_DEFAULT_ALLOW : RULE_NO_POLICY;
    this.#classes = new Classes(this.set.ports, around.numberOf, none);
    this.#named = namedRules(profile).length > 0;
    this.#halves = (['egress', 'ingress'] as const).map((direction) => this.#half(direction));
    for (const half of this.#halves) this.#addNetworks(half);
    this.set.names = compileNames(profile, this.#classes, around.numberOf);
  }

  #half(direction: Direction): Half {
    return {
      direction,
      isolating: this.profile.isolating[direction],
      places: new PlacesOfProfile(this.profile, direction),
      views: new Views(this.#around.catalog, this.profile, direction),
      byNode: new Map(),
      known: new Map(),
    };
  }

  #addNetworks(half: Half): void {
    for (const node of half.places.nodes(this.#around.tree)) {
      const number = this.#classOf(half, nobodyAt(node), false);
      const around = node.parent && this.#networkClass(half, node.parent);
      half.byNode.set(node, number);
      if (around === number) continue;
      this.set.peers.push({
        network: addressBytes(node.address),
        prefixLength: node.prefix,
        class: number,
        direction: DIRECTION[half.direction],
      });
    }
  }

  /** Of addresses of the network that have no identity. */
  #networkClass({ byNode }: Half, node: TreeNode): number {
    let at: TreeNode | null = node;
    while (at) {
      const found = byNode.get(at);
      if (found !== undefined) {
        if (at !== node) byNode.set(node, found);
        return found;
      }
      at = at.parent;
    }
    return 0;
  }

  /** Takes in identities that came since. */
  extend(): this {
    const { remotes } = this.#around;
    for (; this.#done < remotes.length; this.#done++)
      for (const half of this.#halves) this.#addIdentity(half, remotes[this.#done] as Remote);
    return this;
  }

  #addIdentity(half: Half, remote: Remote): void {
    const direction = DIRECTION[half.direction];
    const around = this.#networkClass(half, remote.node);
    const number = this.#isAsAround(half, remote, around) ? around : this.#classOf(half, remote, false);
    const { identity } = remote;
    if (number !== around) this.set.identities.push({ identity, direction, class: number });
    if (!remote.candidates.some((it) => it.profile === this.profile && it.via === null)) return;
    const own = this.#classOf(half, remote, true);
    if (own !== number) this.set.identities.push({ identity: (identity | OWN_POD) >>> 0, direction, class: own });
  }

  /** Sure without deciding: all is denied here, and who is there changes nothing. */
  #isAsAround(half: Half, remote: Remote, around: number): boolean {
    if (!this.#light && !this.#classes.isClosed(around)) return false;
    for (const { profile } of remote.candidates) if (half.views.touches(profile)) return false;
    return remote.kind !== 'own node' && half.places.at(remote) === half.places.at(nobodyAt(remote.node));
  }

  #viewOf(half: Half, candidate: Candidate): View {
    return half.views.of(candidate.profile);
  }

  #candidates({ direction }: Half, { candidates }: Remote): readonly Candidate[] {
    return direction === 'egress' ? candidates : candidates.filter((it) => it.via === null);
  }

  #classOf(half: Half, remote: Remote, ownPod: boolean): number {
    const place = half.places.at(remote);
    const candidates = this.#candidates(half, remote);
    let key = `${place.id}${ownPod ? 'o' : ''}${this.#traitsKey(remote)}`;
    for (const it of candidates) key += `,${this.#viewOf(half, it).id}${it.via ? JSON.stringify(it.via) : ''}`;
    const known = half.known.get(key);
    if (known !== undefined) return known;
    const number = this.#decideAll(half, remote, place, candidates, ownPod);
    half.known.set(key, number);
    return number;
  }

  #traitsKey({ kind, node }: Remote): string {
    return `${kind === 'own node' ? 'n' : ''}${+node.loopback}${+node.apiServer}${+node.dns}`;
  }

  #decideAll(half: Half, remote: Remote, place: Place, candidates: readonly Candidate[], ownPod: boolean): number {
    const nobody = this.#situation(half, remote, place, NO_VIEW, ownPod);
    const meant = candidates.map((candidate) => ({
      candidate,
      situation: this.#situation(half, remote, place, this.#viewOf(half, candidate), ownPod),
    }));
    const decideAt = (protocol: number, port: number) => {
      const decisions = meant.flatMap(({ candidate, situation }) =>
        targetsOf(candidate, protocol, port).map((target) => decide(situation, { protocol, port, target })),
      );
      const point: Point = { protocol, port, target: port };
      return decisions.length > 0 ? decisions.reduce(better) : decide(nobody, point);
    };
    return this.#classes.add(edgesOf([nobody, ...meant.map((it) => it.situation)], candidates), decideAt);
  }

  #situation(half: Half, remote: Remote, place: Place, view: View, ownPod: boolean): Situation {
    const { direction, isolating } = half;
    const { kind, node } = remote;
    const own = view.own.length > 0 ? merge(place.matches, view.own) : place.matches;
    return {
      direction,
      own: { matches: own, isolating },
      far: this.#light ? NO_SIDE : { matches: view.far, isolating: view.isolating },
      circumstances: {
        loopback: node.loopback || ownPod,
        ownNode: kind === 'own node',
        apiServer: node.apiServer,
        dns: node.dns,
      },
      farIsOpen: direction === 'ingress' && this.#around.farIsOpen,
      named: this.#named,
    };
  }
}

function merge(a: readonly Match[], b: readonly Match[]): Match[] {
  return [...a, ...b].sort((x, y) => x.order - y.order);
}

/** The ports at which a candidate gets what was sent to this one; none: it is not reached by it. */
function targetsOf({ via }: Candidate, protocol: number, port: number): number[] {
  if (via === null) return [port];
  return via.filter((it) => it.protocol === protocol && it.port === port).map((it) => it.target);
}

function edgesOf(situations: readonly Situation[], candidates: readonly Candidate[]): Map<number, Set<number>> {
  const edges = new Map<number, Set<number>>();
  const add = (protocol: number, first: number, last: number) => {
    const known = edges.get(protocol) ?? new Set<number>();
    edges.set(protocol, known.add(first).add(last + 1));
  };
  for (const { own, far, circumstances } of situations) {
    for (const { ports } of [...own.matches, ...far.matches])
      for (const { protocol, first, last } of ports ?? []) add(protocol, first, last);
    if (circumstances.dns) for (const protocol of [6, 17]) add(protocol, 53, 53);
  }
  for (const { via } of candidates) for (const { protocol, port } of via ?? []) add(protocol, port, port);
  return edges;
}
