// SPDX-License-Identifier: Apache-2.0

export type Mode = 'Audit' | 'Enforce';
export type Action = 'Accept' | 'Deny';

/** IP protocol numbers that rules can name. */
export const TCP = 6;
export const UDP = 17;

/** A prefix over 128 bits, IPv4 as ::ffff:a.b.c.d; `text` as the user wrote it. Bits after the prefix are 0. */
export interface Network {
  readonly address: bigint;
  readonly prefix: number;
  readonly text: string;
}

/** Ports `first` to `last`, both included. */
export interface PortRange {
  readonly protocol: typeof TCP | typeof UDP;
  readonly first: number;
  readonly last: number;
}

export interface Rule {
  readonly name: string;
  readonly action: Action;
  /** Empty: every address. */
  readonly networks: readonly Network[];
  /** Empty: every protocol and port. */
  readonly ports: readonly PortRange[];
}

/** As in Kubernetes' label selectors. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** Which containers of the policy's namespace a policy is about. All parts must hold; an empty part selects all. */
export interface Subject {
  readonly podLabels: readonly Requirement[];
  readonly podNames: readonly string[];
  readonly containers: readonly string[];
}

/** What selects containers: a namespace ('': outside Kubernetes) and a subject in it. */
export interface Selection {
  readonly namespace: string;
  readonly subject: Subject;
}

export interface Policy extends Selection {
  readonly name: string;
  readonly mode: Mode;
  readonly isolated: boolean;
  readonly loopback: 'Allow' | 'Deny';
  readonly egress: readonly Rule[];
}

/** What is read of a container's packets. Each costs the container something per packet. */
export interface Observed {
  /** DNS answers, so that flows show the name that their address was looked up by. */
  readonly names: boolean;
  /** The first payload of a connection: TLS or which protocol in clear. */
  readonly payload: boolean;
}

export interface Observation extends Selection, Observed {
  readonly name: string;
}

/** The kinds of documents that there are. */
export const KINDS = ['ContainerPolicy', 'ContainerObservation'] as const;
export type Kind = (typeof KINDS)[number];

/** Names of the rules that a policy has without being written. The brackets keep them apart from the names of users. */
export const DEFAULT_DENY = '(default deny)';
export const LOOPBACK = '(loopback)';

/** "namespace/name", or "name" outside Kubernetes. */
export function policyKey(policy: { namespace: string; name: string }): string {
  return policy.namespace === '' ? policy.name : `${policy.namespace}/${policy.name}`;
}

/** As policyKey. Names have no colon, so that a policy and an observation may share a name. */
export function observationKey(observation: { namespace: string; name: string }): string {
  return `observation:${policyKey(observation)}`;
}

export function documentKey(document: { kind: Kind; namespace: string; name: string }): string {
  return document.kind === 'ContainerPolicy' ? policyKey(document) : observationKey(document);
}

/** What a policy has to know about a container. */
export interface PolicyContainer {
  readonly namespace: string;
  readonly pod: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What is wrong with the input; `where` is "file:line:column path". */
export interface Problem {
  readonly where: string;
  readonly message: string;
}
