// SPDX-License-Identifier: Apache-2.0
//
// Policies to rule sets: all precedence is resolved here, so that the kernel only takes the longest match.

import {
  DEFAULT_DENY,
  LOOPBACK,
  type Network,
  type Observation,
  observationKey,
  type Policy,
  policyKey,
  type Rule,
  type Selection,
  TCP,
  UDP,
} from './model.js';
import { addressBytes, contains, LOOPBACK_NETWORKS } from './network.js';
import { portPrefixes } from './ports.js';

/** Numbers of cellwall.v1.Verdict, Operator and BuiltinRule. */
const VERDICT = { allowed: 1, denied: 2, audit: 3 } as const;
const OPERATOR = { In: 1, NotIn: 2, Exists: 3, DoesNotExist: 4 } as const;
const RULE_DEFAULT_ALLOW = 1;

/** Field names as in cellwall.v1.RuleSets. */
export interface CompiledRuleSets {
  generation: number;
  policies: CompiledSelector[];
  ruleSets: CompiledRuleSet[];
}
export interface CompiledSelector {
  index: number;
  name: string;
  namespace: string;
  podLabels: { key: string; operator: number; values: string[] }[];
  containers: string[];
  pods: string[];
  /** Of observations alone: without them, the bytes on the wire are those of earlier versions. */
  observeNames?: boolean;
  observePayload?: boolean;
}
export interface CompiledRuleSet {
  id: number;
  policies: number[];
  peers: { network: Uint8Array; prefixLength: number; class: number }[];
  ports: { class: number; protocol: number; port: number; portPrefixLength: number; verdict: number; rule: number }[];
}

export interface CompileInput {
  readonly generation: number;
  /** Sorted by key. */
  readonly policies: readonly Policy[];
  /** Sorted by key. They come behind the policies, and have no part in combinations and rule sets. */
  readonly observations: readonly Observation[];
  /** Which policies select one container at once: indexes into `policies`, ascending. */
  readonly combinations: readonly (readonly number[])[];
  /** The lasting number of a rule, from 16. */
  ruleNumber(policyKey: string, rule: string): number;
}

interface Decision {
  readonly verdict: number;
  readonly rule: number;
}

/** A rule of a user, with the place in the order in which rules are asked. */
interface Ranked {
  readonly rank: number;
  readonly policy: Policy;
  readonly rule: Rule;
}

class RuleSetCompiler {
  readonly #policies: readonly Policy[];
  readonly #number: CompileInput['ruleNumber'];
  readonly #ranked: Ranked[] = [];
  readonly #classes = new Map<string, number>();
  readonly #set: CompiledRuleSet;

  constructor(id: number, combination: readonly number[], input: CompileInput) {
    this.#policies = combination.map((index) => input.policies[index] as Policy);
    this.#number = input.ruleNumber;
    this.#set = { id, policies: [...combination], peers: [], ports: [] };
    for (const action of ['Deny', 'Accept'] as const) {
      for (const policy of this.#policies) {
        for (const rule of policy.egress) {
          if (rule.action === action) this.#ranked.push({ rank: this.#ranked.length, policy, rule });
        }
      }
    }
  }

  compile(): CompiledRuleSet {
    const own = this.#rulesByNetwork();
    const sorted = [...own.values()].sort((a, b) => compareNetworks(a.network, b.network));
    // Networks that hold the current one, from wide to narrow, each with all rules that hold there.
    const open: { network: Network; rules: Set<Ranked>; loopback: boolean }[] = [];
    for (const { network, rules, loopback } of sorted) {
      while (open.length > 0 && !contains((open.at(-1) as { network: Network }).network, network)) open.pop();
      const around = open.at(-1);
      const effective = new Set([...(around?.rules ?? []), ...rules]);
      const within = loopback || (around?.loopback ?? false);
      open.push({ network, rules: effective, loopback: within });
      this.#set.peers.push({
        network: addressBytes(network.address),
        prefixLength: network.prefix,
        class: this.#classOf(effective, within),
      });
    }
    return this.#set;
  }

  #rulesByNetwork(): Map<string, { network: Network; rules: Ranked[]; loopback: boolean }> {
    const found = new Map<string, { network: Network; rules: Ranked[]; loopback: boolean }>();
    const at = (network: Network) => {
      const key = `${network.address}/${network.prefix}`;
      const entry = found.get(key) ?? { network, rules: [], loopback: false };
      found.set(key, entry);
      return entry;
    };
    const everywhere = at({ address: 0n, prefix: 0, text: '::/0' });
    for (const ranked of this.#ranked) {
      if (ranked.rule.networks.length === 0) everywhere.rules.push(ranked);
      for (const network of ranked.rule.networks) at(network).rules.push(ranked);
    }
    for (const network of LOOPBACK_NETWORKS) at(network).loopback = true;
    return found;
  }

  #classOf(rules: Set<Ranked>, loopback: boolean): number {
    const ordered = [...rules].sort((a, b) => a.rank - b.rank);
    const key = `${loopback}:${ordered.map((ranked) => ranked.rank).join(',')}`;
    const known = this.#classes.get(key);
    if (known !== undefined) return known;
    const number = this.#classes.size + 1;
    this.#classes.set(key, number);
    this.#addPorts(number, ordered, loopback);
    return number;
  }

  #addPorts(number: number, rules: readonly Ranked[], loopback: boolean): void {
    const other = this.#decide(rules, loopback, 0, 0);
    this.#addPort(number, 0, 0, 0, other);
    for (const protocol of [TCP, UDP]) {
      const segments = this.#segments(rules, loopback, protocol);
      const widest = segments.reduce((a, b) => (b.last - b.first > a.last - a.first ? b : a));
      if (segments.length === 1 && same(widest.decision, other)) continue;
      this.#addPort(number, protocol, 0, 0, widest.decision);
      for (const segment of segments) {
        if (same(segment.decision, widest.decision)) continue;
        for (const prefix of portPrefixes(segment.first, segment.last))
          this.#addPort(number, protocol, prefix.port, prefix.length, segment.decision);
      }
    }
  }

  /** Runs of ports with one decision, which cover all ports. */
  #segments(rules: readonly Ranked[], loopback: boolean, protocol: number) {
    const edges = new Set([0]);
    for (const { rule } of rules) {
      for (const range of rule.ports) {
        if (range.protocol !== protocol) continue;
        edges.add(range.first);
        if (range.last < 65535) edges.add(range.last + 1);
      }
    }
    const starts = [...edges].sort((a, b) => a - b);
    const segments: { first: number; last: number; decision: Decision }[] = [];
    starts.forEach((first, index) => {
      const last = (starts[index + 1] ?? 65536) - 1;
      const decision = this.#decide(rules, loopback, protocol, first);
      const before = segments.at(-1);
      if (before && same(before.decision, decision)) before.last = last;
      else segments.push({ first, last, decision });
    });
    return segments;
  }

  #addPort(number: number, protocol: number, port: number, portPrefixLength: number, decision: Decision): void {
    this.#set.ports.push({ class: number, protocol, port, portPrefixLength, ...decision });
  }

  #decide(rules: readonly Ranked[], loopback: boolean, protocol: number, port: number): Decision {
    const matching = rules.filter(
      ({ rule }) =>
        rule.ports.length === 0 ||
        rule.ports.some((range) => range.protocol === protocol && range.first <= port && port <= range.last),
    );
    const enforced = this.#opinion(matching, loopback, (policy) => policy.mode === 'Enforce');
    if (enforced?.denies) return { verdict: VERDICT.denied, rule: enforced.rule };
    const all = this.#opinion(matching, loopback, () => true);
    if (all?.denies) return { verdict: VERDICT.audit, rule: all.rule };
    return { verdict: VERDICT.allowed, rule: (enforced ?? all)?.rule ?? RULE_DEFAULT_ALLOW };
  }

  /** Rules are ranked: denials first. undefined: nothing has a say. */
  #opinion(matching: readonly Ranked[], loopback: boolean, counts: (policy: Policy) => boolean) {
    const hit = matching.find(({ policy }) => counts(policy));
    if (hit) return { denies: hit.rule.action === 'Deny', rule: this.#number(policyKey(hit.policy), hit.rule.name) };
    const isolating = this.#policies.filter((policy) => policy.isolated && counts(policy));
    const first = isolating[0];
    if (!first) return undefined;
    const strict = isolating.find((policy) => policy.loopback === 'Deny');
    if (loopback && !strict) return { denies: false, rule: this.#number(policyKey(first), LOOPBACK) };
    return { denies: true, rule: this.#number(policyKey(loopback && strict ? strict : first), DEFAULT_DENY) };
  }
}

function same(a: Decision, b: Decision): boolean {
  return a.verdict === b.verdict && a.rule === b.rule;
}

function compareNetworks(a: Network, b: Network): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.prefix - b.prefix;
}

function selectorOf(index: number, name: string, { namespace, subject }: Selection): CompiledSelector {
  return {
    index,
    name,
    namespace,
    podLabels: subject.podLabels.map(({ key, operator, values }) => ({
      key,
      operator: OPERATOR[operator],
      values: [...values],
    })),
    containers: [...subject.containers],
    pods: [...subject.podNames],
  };
}

export function compile(input: CompileInput): CompiledRuleSets {
  const { policies, observations } = input;
  return {
    generation: input.generation,
    policies: [
      ...policies.map((policy, index) => selectorOf(index, policyKey(policy), policy)),
      ...observations.map((observation, index) => ({
        ...selectorOf(policies.length + index, observationKey(observation), observation),
        observeNames: observation.names,
        observePayload: observation.payload,
      })),
    ],
    ruleSets: input.combinations.map((combination, index) =>
      new RuleSetCompiler(index + 1, combination, input).compile(),
    ),
  };
}
