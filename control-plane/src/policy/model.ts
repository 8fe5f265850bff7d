// SPDX-License-Identifier: Apache-2.0

export type Mode = 'Audit' | 'Enforce';
export type Action = 'Accept' | 'Deny';
export type Direction = 'egress' | 'ingress';
export type Entity = 'Node' | 'Cluster' | 'World' | 'APIServer';

/** IP protocol numbers that rules can name. */
export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const ICMPV6 = 58;

/** A prefix over 128 bits, IPv4 as ::ffff:a.b.c.d; `text` as the user wrote it. Bits after the prefix are 0. */
export interface Network {
  readonly address: bigint;
  readonly prefix: number;
  readonly text: string;
}

/** Destination ports `first` to `last`, both included. Of ICMP and ICMPv6 the type is the port. */
export interface PortRange {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

/** A port by the name that the destination container (or the service) gives it. */
export interface PortName {
  readonly protocol: number;
  readonly portName: string;
}

export type PortMatch = PortRange | PortName;

/** As in Kubernetes' label selectors. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** Which containers are meant. All parts must hold; an empty part selects all. */
export interface Selector {
  /** null: all of them. '' is outside Kubernetes. */
  readonly namespaces: readonly string[] | null;
  readonly podLabels: readonly Requirement[];
  readonly podNames: readonly string[];
  readonly containers: readonly string[];
  readonly images: readonly string[];
}

export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

export type Peer =
  | { readonly kind: 'containers'; readonly selector: Selector }
  | { readonly kind: 'networks'; readonly networks: readonly Network[]; readonly except: readonly Network[] }
  | { readonly kind: 'services'; readonly services: readonly ServiceName[] }
  | { readonly kind: 'domainNames'; readonly names: readonly string[] }
  | { readonly kind: 'entities'; readonly entities: readonly Entity[] };

export interface Rule {
  readonly name: string;
  readonly action: Action;
  /** Any of them; empty: everything. */
  readonly peers: readonly Peer[];
  /** Empty: every protocol and port. */
  readonly ports: readonly PortMatch[];
}

/** What selects containers. */
export interface Selection {
  readonly subject: Selector;
}

export interface Policy extends Selection {
  readonly kind: 'ContainerPolicy' | 'ClusterContainerPolicy' | 'NetworkPolicy';
  /** '' for cluster policies, and outside Kubernetes. */
  readonly namespace: string;
  readonly name: string;
  readonly mode: Mode;
  /** Directions in which everything is denied that no rule accepts. */
  readonly isolated: Readonly<Record<Direction, boolean>>;
  readonly loopback: 'Allow' | 'Deny';
  readonly rawSockets: 'Allow' | 'Deny';
  /** No two rules of a policy share a name, whatever their direction. */
  readonly egress: readonly Rule[];
  readonly ingress: readonly Rule[];
}

/** What is read of a container's packets. Each costs the container something per packet. */
export interface Observed {
  /** DNS answers, so that flows show the name that their address was looked up by. */
  readonly names: boolean;
  /** The first payload of a connection: TLS or which protocol in clear. */
  readonly payload: boolean;
}

export interface Observation extends Selection, Observed {
  readonly namespace: string;
  readonly name: string;
}

export const API_GROUP = 'cellwall.dev';
export const API_VERSION = 'v1alpha1';

/** The kinds of documents that people write. */
export const KINDS = ['ContainerPolicy', 'ClusterContainerPolicy', 'ContainerObservation'] as const;
/** With what is read of others: a NetworkPolicy of Kubernetes, said as a policy. */
export const ALL_KINDS = [...KINDS, 'NetworkPolicy'] as const;
export type Kind = (typeof ALL_KINDS)[number];

/** Names of the rules that a policy has without being written. The brackets keep them apart from the names of users. */
export const DEFAULT_DENY = '(default deny)';
export const LOOPBACK = '(loopback)';
export const NODE = '(node)';
export const API_SERVER = '(api server)';
export const DNS = '(dns)';
export const BUILTIN_RULES = [DEFAULT_DENY, LOOPBACK, NODE, API_SERVER, DNS] as const;

export function isCluster(policy: Policy): boolean {
  return policy.kind === 'ClusterContainerPolicy';
}

/** A NetworkPolicy is about its own end alone: both ends have to accept. */
export function opensFarEnd({ kind }: Policy, action: Action): boolean {
  return action === 'Deny' || kind !== 'NetworkPolicy';
}

function nameIn({ namespace, name }: { namespace: string; name: string }): string {
  return namespace === '' ? name : `${namespace}/${name}`;
}

/** "namespace/name", "name" outside Kubernetes, "cluster:name", "networkpolicy:namespace/name". Names have no colon, so that kinds may share them. */
export function policyKey(policy: Pick<Policy, 'namespace' | 'name'> & { readonly kind?: Policy['kind'] }): string {
  if (policy.kind === 'ClusterContainerPolicy') return `cluster:${policy.name}`;
  return policy.kind === 'NetworkPolicy' ? `networkpolicy:${nameIn(policy)}` : nameIn(policy);
}

export function observationKey(observation: { namespace: string; name: string }): string {
  return `observation:${nameIn(observation)}`;
}

export function documentKey({ kind, namespace, name }: { kind: Kind; namespace: string; name: string }): string {
  return kind === 'ContainerObservation' ? observationKey({ namespace, name }) : policyKey({ kind, namespace, name });
}

/** The order in which policies are asked: cluster policies first, then by key. */
export function comparePolicies(a: Policy, b: Policy): number {
  if (isCluster(a) !== isCluster(b)) return isCluster(a) ? -1 : 1;
  const [x, y] = [policyKey(a), policyKey(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

export interface NamedPort {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
}

/** What a policy has to know about a container. */
export interface PolicyContainer {
  readonly namespace: string;
  readonly pod: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
}

/** What is wrong with the input; `where` is "file:line:column path". */
export interface Problem {
  readonly where: string;
  readonly message: string;
}
