// SPDX-License-Identifier: Apache-2.0
//
// What agents get. Field names are those of cellwall.v1.RuleSets, RuleSetAmendment and RuleSetDifference.

/** Numbers of cellwall.v1.Verdict, Direction, Lift, Operator and BuiltinRule. */
export const VERDICT = { allowed: 1, denied: 2, audit: 3 } as const;
export const DIRECTION = { egress: 1, ingress: 2 } as const;
export const LIFT = { none: 0, enforced: 1, audit: 2 } as const;
export const OPERATOR = { In: 1, NotIn: 2, Exists: 3, DoesNotExist: 4 } as const;
export const RULE_NO_POLICY = 0;
export const RULE_DEFAULT_ALLOW = 1;

/** Set in the identity of an address when it is that of the container's own pod: an entry of its own, if there is one. */
export const OWN_POD = 0x8000_0000;

export interface CompiledSelector {
  index: number;
  name: string;
  namespace: string;
  podLabels: { key: string; operator: number; values: string[] }[];
  containers: string[];
  pods: string[];
  observeNames?: boolean;
  observePayload?: boolean;
  allNamespaces?: boolean;
  moreNamespaces?: string[];
  images?: string[];
  subject?: boolean;
  namedPort?: { name: string; protocol: number; port: number };
}

export interface PeerEntry {
  network: Uint8Array;
  prefixLength: number;
  class: number;
  direction: number;
}
export interface PortEntry {
  class: number;
  protocol: number;
  port: number;
  portPrefixLength: number;
  verdict: number;
  rule: number;
  lift: number;
  liftedRule: number;
}
export interface IdentityEntry {
  identity: number;
  direction: number;
  class: number;
}
export interface NameEntry {
  name: string;
  class: number;
}

export interface CompiledRuleSet {
  id: number;
  policies: number[];
  peers: PeerEntry[];
  ports: PortEntry[];
  identities: IdentityEntry[];
  names: NameEntry[];
  guarded: boolean;
  refusesSockets: boolean;
  rawSockets: boolean;
}

export interface CompiledAddress {
  address: Uint8Array;
  identity: number;
  node?: string;
  ownIdentity?: number;
}

export interface CompiledRuleSets {
  generation: number;
  revision: number;
  policies: CompiledSelector[];
  ruleSets: CompiledRuleSet[];
  /** That mean something else, or are told otherwise, at this node than elsewhere. */
  addresses: CompiledAddress[];
  /** The others: one and the same list for all nodes. */
  sharedAddresses: readonly CompiledAddress[];
}

export interface CompiledAmendment {
  generation: number;
  baseRevision: number;
  revision: number;
  ruleSets: CompiledRuleSet[];
  additions: CompiledRuleSet[];
  addresses: CompiledAddress[];
  removedAddresses: Uint8Array[];
}

export interface CompiledDifference {
  baseGeneration: number;
  baseRevision: number;
  generation: number;
  revision: number;
  /** All of them; none: they are those of before. */
  policies: CompiledSelector[];
  /** New, or other than before. */
  ruleSets: CompiledRuleSet[];
  removedRuleSets: number[];
  addresses: CompiledAddress[];
  removedAddresses: Uint8Array[];
}
