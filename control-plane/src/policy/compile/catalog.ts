// SPDX-License-Identifier: Apache-2.0
//
// Policies, prepared: rules with their place in the order, and peers with the numbers of their selectors.
import {
  BUILTIN_RULES,
  comparePolicies,
  DEFAULT_DENY,
  type Direction,
  type Entity,
  isCluster,
  type Network,
  type Observation,
  observationKey,
  opensFarEnd,
  type Policy,
  type PortMatch,
  policyKey,
  type Rule,
  type Selector,
} from '../model.js';
import { serviceKey } from '../world.js';
import { Selectors } from './selectors.js';

/** Nothing has a say. Comes after all rules. */
export const NO_RULE = Number.MAX_SAFE_INTEGER;

export interface CatalogPolicy {
  readonly policy: Policy;
  readonly enforced: boolean;
  readonly subject: number;
  readonly rules: Readonly<Record<Direction, readonly CatalogRule[]>>;
  /** Number of a rule that is not written, by its name. */
  builtin(name: string): number;
}

export interface NetworkPeer {
  readonly networks: readonly Network[];
  readonly except: readonly Network[];
}

export interface CatalogRule {
  readonly owner: CatalogPolicy;
  /** Its number in `refs`. */
  readonly ref: number;
  /** Tier, policy, place in the policy: rules are asked in this order. */
  readonly order: number;
  readonly deny: boolean;
  readonly ports: readonly PortMatch[];
  readonly everything: boolean;
  /** Selectors of its containers peers, and those that hold where the rule is not at its own end; -1: none. */
  readonly containers: readonly { readonly exact: number; readonly mirror: number }[];
  readonly networks: readonly NetworkPeer[];
  readonly entities: readonly Entity[];
  /** Keys. */
  readonly services: readonly string[];
  readonly names: readonly string[];
  /** Has peers that the far end cannot know. */
  readonly unknown: boolean;
}

type Written = Pick<
  CatalogRule,
  'deny' | 'ports' | 'everything' | 'networks' | 'entities' | 'services' | 'names' | 'unknown'
>;

function written(rule: Rule): Written {
  return {
    deny: rule.action === 'Deny',
    ports: rule.ports,
    everything: rule.peers.length === 0,
    networks: rule.peers.filter((peer) => peer.kind === 'networks'),
    entities: rule.peers.flatMap((peer) => (peer.kind === 'entities' ? peer.entities : [])),
    services: rule.peers.flatMap((peer) => (peer.kind === 'services' ? peer.services.map(serviceKey) : [])),
    names: rule.peers.flatMap((peer) => (peer.kind === 'domainNames' ? peer.names : [])),
    unknown: rule.peers.some((peer) => peer.kind !== 'containers'),
  };
}

/** Who of the selected is in the namespace of the policy; undefined: nobody. */
function within(selector: Selector, namespace: string): Selector | undefined {
  if (selector.namespaces !== null && !selector.namespaces.includes(namespace)) return undefined;
  return { ...selector, namespaces: [namespace] };
}

const byDirection = () => ({
  egress: new Map<number, Set<CatalogPolicy>>(),
  ingress: new Map<number, Set<CatalogPolicy>>(),
});

export class Catalog {
  readonly policies: readonly CatalogPolicy[];
  readonly selectors = new Selectors();
  /** In the order of policies and of their rules, so that the smaller number is the first rule. */
  readonly refs: { readonly policy: string; readonly rule: string }[] = [];
  /** Somebody can be closed to containers that no selector selects: they are judged, too. */
  readonly refusesStrangers: boolean;
  /** Some rule tells addresses that are known from others. */
  readonly usesCluster: boolean;
  /** Keys of services that rules name. */
  readonly services = new Set<string>();
  readonly #bySubject = new Map<number, CatalogPolicy[]>();
  readonly #byPeer = { exact: byDirection(), mirror: byDirection() };
  /** Policies with rules that can concern whoever is at the other end, by the direction of those rules. */
  readonly anybody: Readonly<Record<Direction, ReadonlySet<CatalogPolicy>>>;
  #order = 0;

  constructor(policies: readonly Policy[], observations: readonly Observation[]) {
    const sorted = [...policies].sort(comparePolicies);
    const subjects = sorted.map((policy) => this.selectors.add(policy.subject, policyKey(policy), true));
    this.policies = sorted.map((policy, index) => this.#read(policy, subjects[index] as number));
    for (const policy of this.policies)
      this.#bySubject.set(policy.subject, [...(this.#bySubject.get(policy.subject) ?? []), policy]);
    for (const observation of observations)
      this.selectors.addObservation(observation.subject, observationKey(observation), observation);
    const rules = this.policies.flatMap(({ rules: { egress, ingress } }) => [...egress, ...ingress]);
    for (const rule of rules) for (const key of rule.services) this.services.add(key);
    this.anybody = { egress: this.#aboutAnybody('egress'), ingress: this.#aboutAnybody('ingress') };
    for (const policy of this.policies)
      for (const direction of ['egress', 'ingress'] as const)
        for (const { containers } of policy.rules[direction])
          for (const { exact, mirror } of containers) {
            this.#notePeer('exact', direction, exact, policy);
            this.#notePeer('mirror', direction, mirror, policy);
          }
    this.refusesStrangers = policies.some(
      ({ isolated, ingress }) =>
        isolated.ingress || ingress.some((rule) => rule.action === 'Deny' && rule.peers.length === 0),
    );
    this.usesCluster = rules.some(({ entities }) => entities.includes('Cluster') || entities.includes('World'));
  }

  #read(policy: Policy, subject: number): CatalogPolicy {
    const key = policyKey(policy);
    const first = this.refs.length;
    const names = [...policy.egress, ...policy.ingress].map((rule) => rule.name);
    for (const rule of [...names, ...BUILTIN_RULES]) this.refs.push({ policy: key, rule });
    const rules: Record<Direction, CatalogRule[]> = { egress: [], ingress: [] };
    const owner: CatalogPolicy = {
      policy,
      enforced: policy.mode === 'Enforce',
      subject,
      rules,
      builtin: (name) => first + names.length + (BUILTIN_RULES as readonly string[]).indexOf(name),
    };
    for (const direction of ['egress', 'ingress'] as const) {
      const offset = first + (direction === 'egress' ? 0 : policy.egress.length);
      rules[direction] = policy[direction].map((rule, index) => this.#readRule(owner, rule, offset + index));
    }
    return owner;
  }

  #readRule(owner: CatalogPolicy, rule: Rule, ref: number): CatalogRule {
    const name = `peer of ${policyKey(owner.policy)}:${rule.name}`;
    const cluster = isCluster(owner.policy);
    for (const port of rule.ports) if ('portName' in port) this.selectors.usePortName(port.protocol, port.portName);
    const containers = rule.peers.flatMap((peer) => {
      if (peer.kind !== 'containers') return [];
      const exact = this.selectors.add(peer.selector, name, false);
      if (!opensFarEnd(owner.policy, rule.action)) return [{ exact, mirror: -1 }];
      if (cluster || rule.action === 'Deny') return [{ exact, mirror: exact }];
      const inside = within(peer.selector, owner.policy.namespace);
      return [{ exact, mirror: inside ? this.selectors.add(inside, name, false) : -1 }];
    });
    const tier = (cluster ? 0 : 2) + (rule.action === 'Deny' ? 0 : 1);
    // Above 2^40 rules and builtins there would be other trouble.
    return { owner, ref, order: tier * 2 ** 40 + this.#order++, ...written(rule), containers };
  }

  #aboutAnybody(direction: Direction): Set<CatalogPolicy> {
    return new Set(
      this.policies.filter(({ rules }) => rules[direction].some((rule) => rule.everything || rule.unknown)),
    );
  }

  #notePeer(how: 'exact' | 'mirror', direction: Direction, selector: number, policy: CatalogPolicy): void {
    const known = this.#byPeer[how][direction].get(selector);
    if (known) known.add(policy);
    else this.#byPeer[how][direction].set(selector, new Set([policy]));
  }

  /** Policies whose rules have one of the selectors as a peer. */
  naming(how: 'exact' | 'mirror', direction: Direction, selectors: readonly number[]): Set<CatalogPolicy> {
    const { [direction]: byPeer } = this.#byPeer[how];
    return new Set(selectors.flatMap((index) => [...(byPeer.get(index) ?? [])]));
  }

  /** Policies that have one of the selectors as their subject, in order. */
  about(selectors: readonly number[]): CatalogPolicy[] {
    const found = selectors.flatMap((index) => this.#bySubject.get(index) ?? []);
    return found.sort((a, b) => a.builtin(DEFAULT_DENY) - b.builtin(DEFAULT_DENY));
  }
}
