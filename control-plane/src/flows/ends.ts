// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a connection as both of its records have them: the caller as the server saw it, and the server as it was reached.
import { type Endpoint, isEgress, type StoredFlow, unpackKind } from './record.js';

export interface Ends {
  readonly protocol: number;
  readonly caller: Endpoint;
  readonly server: Endpoint;
}

const DENIED = 2;

/** undefined: nothing left the container, or there are no ports to know the connection by. */
export function endsOf(flow: StoredFlow): Ends | undefined {
  const { protocol, verdict } = unpackKind(flow.kind);
  if (verdict === DENIED || flow.remotePort === 0 || flow.localPort === 0) return undefined;
  const local = { address: flow.local, port: flow.localPort };
  const remote = { address: flow.remote, port: flow.remotePort };
  if (!isEgress(flow)) return { protocol, caller: remote, server: local };
  return { protocol, caller: flow.translation?.source ?? local, server: flow.translation?.destination ?? remote };
}

export const endsKey = ({ protocol, caller, server }: Ends): string =>
  `${protocol} ${caller.address} ${caller.port} ${server.address} ${server.port}`;

export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const samePlace = (one: StoredFlow, other: StoredFlow): boolean =>
  one.node === other.node && one.namespace === other.namespace && one.pod === other.pod;

/** Both ends know how much went each way, and agree. */
export const sameBytes = (one: StoredFlow, other: StoredFlow): boolean =>
  one.sentBytes !== null &&
  one.receivedBytes !== null &&
  one.sentBytes === other.receivedBytes &&
  one.receivedBytes === other.sentBytes;

/**
 * Which of the records with the same ends is the other one of this connection? Ports are used again, hosts can have equal private
 * addresses, and clocks differ: equal byte counts say most, then the same node, then the nearest end. undefined: none can be.
 */
export function choosePartner(
  flow: StoredFlow,
  candidates: readonly StoredFlow[],
  slackUs: number,
): StoredFlow | undefined {
  const ends = endsOf(flow);
  if (!ends) return undefined;
  const local = isLoopback(ends.caller.address) || isLoopback(ends.server.address);
  const possible = candidates.filter(
    (it) =>
      isEgress(it) !== isEgress(flow) && Math.abs(it.endUs - flow.endUs) <= slackUs && (!local || samePlace(it, flow)),
  );
  const rank = (it: StoredFlow) =>
    [Number(!sameBytes(flow, it)), Number(it.node !== flow.node), Math.abs(it.endUs - flow.endUs)] as const;
  return possible
    .map((it) => ({ it, rank: rank(it) }))
    .sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || a.rank[2] - b.rank[2])[0]?.it;
}
