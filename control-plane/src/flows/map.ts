// SPDX-License-Identifier: Apache-2.0
//
// Sums of flows to calls between workload containers.
import { isLoopback } from './ends.js';
import { grouped } from './group.js';
import {
  type Endpoint,
  PAYLOADS,
  type Peer,
  protocolName,
  ruleDisplay,
  timeText,
  unpackKind,
  VERDICTS,
} from './record.js';
import { type PodFacts, workloadOf } from './workload.js';

/** Flows of one container with one peer; the peer's labels are those of its pod. */
export interface MapInput {
  readonly container: {
    readonly namespace: string;
    readonly pod: string;
    readonly container: string;
    readonly cgroupId: string;
    readonly labels: string;
    readonly workload?: string;
  };
  /** False: it is there so that nothing is told twice. */
  readonly wanted: boolean;
  readonly kind: number;
  readonly address: string;
  readonly port: number;
  readonly backend: Endpoint | null;
  readonly outside: string | null;
  readonly name: string | null;
  readonly peer: (Peer & { readonly labels?: string; readonly workload?: string }) | null;
  readonly rulePolicy: string | null;
  readonly ruleName: string | null;
  readonly rule: number;
  readonly flows: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly firstUs: number;
  readonly lastUs: number;
}

export interface Side {
  readonly name: string;
  readonly kind: 'container' | 'pod' | 'name' | 'network' | 'node';
}

export interface Call {
  readonly caller: Side;
  readonly called: Side;
  readonly service: string | null;
  readonly port: number;
  readonly protocol: string;
  readonly verdict: string;
  readonly rule: string | null;
  readonly payloads: string[];
  readonly plaintext: boolean;
  readonly flows: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly first: string;
  readonly last: string;
}

export const EGRESS = 1;

/** NAMESPACE/WORKLOAD/CONTAINER, without what is empty. */
export function workloadContainer(it: PodFacts & { readonly container: string }): string {
  return [it.namespace, workloadOf(it), it.container].filter((part) => part !== '').join('/');
}

/** labels: JSON. */
export function workloadName(
  it: Omit<PodFacts, 'labels'> & { readonly container: string; readonly labels?: string | undefined },
): string {
  return workloadContainer({ ...it, labels: JSON.parse(it.labels ?? '{}') });
}

export function ownSide(edge: MapInput): Side {
  const { container } = edge;
  const name = container.container === '' ? `cgroup:${container.cgroupId}` : workloadName(container);
  return { name, kind: 'container' };
}

export function otherSide(edge: MapInput): Side {
  const { peer, name, address, container } = edge;
  if (isLoopback(address) && !peer) return { name: `${container.pod || container.container} (loopback)`, kind: 'pod' };
  if (!peer) return name === null ? { name: address, kind: 'network' } : { name, kind: 'name' };
  if (peer.pod === '' && peer.container === '') return { name: peer.name, kind: 'node' };
  return { name: workloadName(peer), kind: peer.container === '' ? 'pod' : 'container' };
}

function ruleOf(edge: MapInput): string | null {
  return VERDICTS[unpackKind(edge.kind).verdict] === 'allowed'
    ? null
    : ruleDisplay(edge.rule, edge.rulePolicy, edge.ruleName);
}

/** Flows that callers told of, by how the server sees them: from which address, at which pod and port. */
function toldByCallers(edges: readonly MapInput[]): Map<string, number> {
  const told = new Map<string, number>();
  for (const { outside, backend, peer, flows } of edges) {
    if (outside === null || backend === null || peer === null) continue;
    const key = seenKey(outside, peer, backend.port);
    told.set(key, (told.get(key) ?? 0) + flows);
  }
  return told;
}

const seenKey = (from: string, at: { namespace: string; pod: string }, port: number): string =>
  `${from} ${at.namespace} ${at.pod} ${port}`;

/**
 * Calls are told by who began. What a container accepted is told only as far as no caller told of it: known containers tell
 * themselves, also those that are hidden behind their node's address.
 */
export function toldOnce<T extends MapInput>(edges: readonly T[]): T[] {
  const behindNodes = toldByCallers(edges);
  return edges.flatMap((edge) => {
    if (!edge.wanted) return [];
    if (unpackKind(edge.kind).direction === EGRESS) return [edge];
    if (edge.peer !== null && edge.peer.pod !== '') return [];
    const key = seenKey(edge.address, edge.container, edge.port);
    const known = Math.min(behindNodes.get(key) ?? 0, edge.flows);
    behindNodes.set(key, (behindNodes.get(key) ?? 0) - known);
    return known === edge.flows ? [] : [{ ...edge, flows: edge.flows - known }];
  });
}

export function mapOf(edges: readonly MapInput[]): Call[] {
  const groups = grouped(
    toldOnce(edges).map((edge) => {
      const { protocol, verdict, direction } = unpackKind(edge.kind);
      const [caller, called] =
        direction === EGRESS ? [ownSide(edge), otherSide(edge)] : [otherSide(edge), ownSide(edge)];
      const service = edge.backend && edge.backend.address !== edge.address ? edge.address : null;
      const key = [caller.name, called.name, service, edge.port, protocol, verdict, ruleOf(edge)].join('\0');
      return [key, { edge, caller, called, service }] as const;
    }),
  );
  return [...groups.values()]
    .flatMap((group) => {
      const [first] = group;
      return first
        ? [
            callOf(
              first,
              group.map(({ edge }) => edge),
            ),
          ]
        : [];
    })
    .sort((a, b) => (a.caller.name === b.caller.name ? b.flows - a.flows : a.caller.name < b.caller.name ? -1 : 1));
}

function callOf(
  { edge, caller, called, service }: { edge: MapInput; caller: Side; called: Side; service: string | null },
  edges: readonly MapInput[],
): Call {
  const { protocol, verdict } = unpackKind(edge.kind);
  const sum = (value: (it: MapInput) => number) => edges.reduce((total, it) => total + value(it), 0);
  const payloads = [...new Set(edges.map((it) => unpackKind(it.kind).payload))].sort((a, b) => a - b);
  return {
    caller,
    called,
    service,
    port: edge.port,
    protocol: protocolName(protocol),
    verdict: VERDICTS[verdict] ?? '',
    rule: ruleOf(edge),
    payloads: payloads.flatMap((it) => PAYLOADS[it]?.name || []),
    plaintext: payloads.some((it) => PAYLOADS[it]?.clear),
    flows: sum((it) => it.flows),
    sentBytes: sum((it) => it.sentBytes),
    receivedBytes: sum((it) => it.receivedBytes),
    first: timeText(Math.min(...edges.map((it) => it.firstUs))),
    last: timeText(Math.max(...edges.map((it) => it.lastUs))),
  };
}
