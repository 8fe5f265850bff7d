// SPDX-License-Identifier: Apache-2.0
//
// What policies are applied to.
import type { NamedPort, Network, Policy, PolicyContainer, ServiceName } from './model.js';
import { addressBits } from './network.js';

export interface WorldContainer extends PolicyContainer {
  readonly node: string;
  /** Of its pod. Those that are the node's (a pod in the network of its host) say nothing about the container. */
  readonly addresses: readonly string[];
  readonly ports: readonly NamedPort[];
  /** By the owners of its pod; policies do not ask for it. */
  readonly workload?: string | undefined;
}

export interface ServicePort {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
  /** Of the backends. */
  readonly target: number;
}

export interface Service extends ServiceName {
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Addresses. */
  readonly backends: readonly string[];
}

export interface WorldNode {
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface PolicyOptions {
  /** Networks that belong to the cluster beside the addresses of its nodes and containers. */
  readonly clusterNetworks: readonly Network[];
  readonly apiServer: readonly Network[];
  readonly dnsServers: readonly Network[];
}

export const NO_OPTIONS: PolicyOptions = { clusterNetworks: [], apiServer: [], dnsServers: [] };

export interface World {
  readonly policies: readonly Policy[];
  readonly containers: readonly WorldContainer[];
  readonly services: readonly Service[];
  readonly nodes: readonly WorldNode[];
  readonly options: PolicyOptions;
}

/** CRI's own container of a pod, which runs nothing; agent-bpf/src/containers.h names it. */
const SANDBOX = '(pod sandbox)';

/** Something that can be at the other end of a connection. */
export function canBePeer(container: PolicyContainer): boolean {
  return container.name !== '' && container.name !== SANDBOX;
}

// Lists of addresses are not changed, and each change of policies asks for all of them.
const known = new WeakMap<readonly string[], readonly bigint[]>();

export function bitsOf(addresses: readonly string[]): readonly bigint[] {
  const bits = known.get(addresses) ?? addresses.map(addressBits).filter((it) => it !== undefined);
  known.set(addresses, bits);
  return bits;
}

export function serviceKey({ namespace, name }: ServiceName): string {
  return `${namespace}/${name}`;
}
