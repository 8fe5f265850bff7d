// SPDX-License-Identifier: Apache-2.0
//
// What policies are learned from: flows of one container with one peer, summed up.
import type { MapInput } from '../flows/map.js';
import { type Endpoint, unpackKind } from '../flows/record.js';
import { workloadOf } from '../flows/workload.js';
import type { Direction } from '../policy/index.js';

export interface Place {
  readonly namespace: string;
  readonly pod: string;
  /** '': not known which of the pod's containers. */
  readonly container: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  /** As PodFacts has it. */
  readonly workload?: string | undefined;
}

export interface Seen {
  readonly own: Place;
  readonly direction: Direction;
  readonly verdict: 'allowed' | 'denied' | 'audit';
  /** false: nobody answered, of TCP. */
  readonly answered: boolean;
  readonly protocol: number;
  /** Of the server; of ICMP, the type. */
  readonly port: number;
  /** Egress: what was asked for. Ingress: the caller. */
  readonly address: string;
  /** Egress, translated: where it went. */
  readonly backend: Endpoint | null;
  /** By which the container had looked the address up. */
  readonly name: string | null;
  /** A node has no pod. */
  readonly peer: Place | null;
  readonly flows: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

const VERDICTS = ['allowed', 'allowed', 'denied', 'audit'] as const;
const EGRESS = 1;
/** END_FAILED of cellwall.v1. */
const FAILED = 3;

/** Sets of labels that are kept; then it begins anew. */
const MOST_PARSED = 10_000;
const parsed = new Map<string, Readonly<Record<string, string>>>();

/** The same object for the same text: one pod stands in thousands of edges. */
export function labelsOf(json = '{}'): Readonly<Record<string, string>> {
  const known = parsed.get(json);
  if (known) return known;
  if (parsed.size >= MOST_PARSED) parsed.clear();
  const labels = JSON.parse(json) as Record<string, string>;
  parsed.set(json, labels);
  return labels;
}

export function toSeen(edge: MapInput & { readonly container: { readonly node: string } }): Seen {
  const { container, peer } = edge;
  const { direction, verdict, protocol, end } = unpackKind(edge.kind);
  const isEgress = direction === EGRESS;
  return {
    own: { ...container, labels: labelsOf(container.labels) },
    direction: isEgress ? 'egress' : 'ingress',
    verdict: VERDICTS[verdict] ?? 'allowed',
    answered: end !== FAILED,
    protocol,
    port: edge.port,
    address: edge.address,
    backend: isEgress ? edge.backend : null,
    name: edge.name,
    peer: peer && { ...peer, labels: labelsOf(peer.labels) },
    flows: edge.flows,
    firstUs: edge.firstUs,
    lastUs: edge.lastUs,
  };
}

/** "namespace/workload/container", a name, or an address. */
export function peerText({ peer, name, address }: Pick<Seen, 'peer' | 'name' | 'address'>): string {
  const place =
    peer && [peer.namespace, peer.pod && workloadOf(peer), peer.container].filter((it) => it !== '').join('/');
  return place || (name ?? address);
}

/** What the pods of one Deployment, StatefulSet, DaemonSet, CronJob or Job share. */
export const workloadKey = (it: Pick<Place, 'namespace' | 'pod' | 'labels' | 'workload'>): string =>
  `${it.namespace}/${workloadOf(it)}`;
