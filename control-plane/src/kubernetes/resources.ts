// SPDX-License-Identifier: Apache-2.0
//
// What is read of each kind of object. The rest of it is dropped as it comes, for a pod with all its fields is some 10 KiB.
import { API_GROUP, API_VERSION, type CrdKind, pluralOf } from '../policy/index.js';
import type { ClusterNode, ClusterPod } from '../rollout/cluster.js';
import { ownerOf, type PodOwner } from './workloads.js';

export interface OwnerReference {
  readonly kind?: string;
  readonly name?: string;
  /** One owner at most has made the object and looks after it. */
  readonly controller?: boolean;
}

export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly OwnerReference[];
  };
  readonly spec?: unknown;
  readonly status?: unknown;
}

export interface Resource<F> {
  /** As RBAC calls it. */
  readonly name: string;
  /** '' is the core group. */
  readonly group: string;
  readonly path: string;
  /** The API server leaves out all but the metadata. */
  readonly metadataOnly?: boolean;
  /** null: it does not count. */
  read(object: KubernetesObject): F | null;
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17 };
/** SCTP and others that rules cannot name are left out. */
export const protocolOf = (name = 'TCP'): number | undefined => PROTOCOLS[name];

interface ContainerSpec {
  readonly name?: string;
  readonly image?: string;
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly containerPort?: number }[];
}

interface PodSpec {
  readonly nodeName?: string;
  readonly hostNetwork?: boolean;
  readonly containers?: readonly ContainerSpec[];
  readonly initContainers?: readonly ContainerSpec[];
}

interface PodStatus {
  readonly phase?: string;
  readonly podIPs?: readonly { readonly ip?: string }[];
}

function portsOf({ ports = [] }: ContainerSpec): ClusterPod['containers'][number]['ports'] {
  return ports.flatMap(({ name, protocol, containerPort }) => {
    const number = protocolOf(protocol);
    if (name === undefined || containerPort === undefined || number === undefined) return [];
    return [{ name, protocol: number, port: containerPort }];
  });
}

/** A pod that has ended has no address any more, and another may get the one that it still shows. */
export function readPod({ metadata, spec, status }: KubernetesObject): ClusterPod | null {
  const { nodeName, hostNetwork = false, containers = [], initContainers = [] } = (spec ?? {}) as PodSpec;
  const { phase, podIPs = [] } = (status ?? {}) as PodStatus;
  const addresses = podIPs.flatMap(({ ip }) => (ip ? [ip] : []));
  if (!nodeName || hostNetwork || addresses.length === 0 || phase === 'Succeeded' || phase === 'Failed') return null;
  return {
    node: nodeName,
    namespace: metadata?.namespace ?? '',
    pod: metadata?.name ?? '',
    labels: metadata?.labels ?? {},
    addresses,
    containers: [...initContainers, ...containers].map((it) => ({
      name: it.name ?? '',
      image: it.image ?? '',
      ports: portsOf(it),
    })),
  };
}

/** Of a pod that has ended or has no address yet, what it belongs to. */
export interface PodFacts {
  readonly pod: ClusterPod | null;
  readonly owner: PodOwner | null;
}

export const PODS: Resource<PodFacts> = {
  name: 'pods',
  group: '',
  path: '/api/v1/pods',
  read: (object) => ({ pod: readPod(object), owner: ownerOf(object) }),
};

interface NodeStatus {
  readonly addresses?: readonly { readonly type?: string; readonly address?: string }[];
}

export const NODES: Resource<ClusterNode> = {
  name: 'nodes',
  group: '',
  path: '/api/v1/nodes',
  read({ metadata, status }) {
    const { addresses = [] } = (status ?? {}) as NodeStatus;
    return {
      name: metadata?.name ?? '',
      addresses: addresses.flatMap(({ type, address }) =>
        address && (type === 'InternalIP' || type === 'ExternalIP') ? [address] : [],
      ),
    };
  },
};

/** A policy, whole: the server checks it, and writes its status. */
export interface CustomPolicy extends KubernetesObject {
  readonly kind: CrdKind;
}

export function customPolicies(kind: CrdKind): Resource<CustomPolicy> {
  const name = pluralOf(kind);
  // Items of a list do not say what they are.
  return {
    name,
    group: API_GROUP,
    path: `/apis/${API_GROUP}/${API_VERSION}/${name}`,
    read: ({ metadata, spec, status }) => ({ kind, ...(metadata && { metadata: kept(metadata) }), spec, status }),
  };
}

/** Without managedFields, which is often longer than the object. */
export function kept({ name, namespace, uid, resourceVersion, generation }: NonNullable<KubernetesObject['metadata']>) {
  return Object.fromEntries(
    Object.entries({ name, namespace, uid, resourceVersion, generation }).filter(([, value]) => value !== undefined),
  );
}
