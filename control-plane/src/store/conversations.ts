// SPDX-License-Identifier: Apache-2.0
//
// The two records of one connection, joined when they are asked for: however late the second one came.
import { choosePartner, endsKey, endsOf, sameBytes } from '../flows/ends.js';
import { grouped } from '../flows/group.js';
import { displayName, flowId, isEgress, type Peer, type StoredFlow, unpackKind } from '../flows/record.js';
import type { Connections } from './connections.js';
import { dayOf } from './days.js';
import type { Directory, LabelledPeer } from './directory.js';
import { flowsById, type Reading } from './reading.js';

/** Between the ends of both records: mostly little; but clocks differ, and one side can close long before the other. */
const NEAR_US = 5e6;
const FAR_US = 600e6;

export class Conversations {
  readonly #connections: Connections;
  readonly #reading: Reading;
  readonly #directory: Directory;

  constructor(connections: Connections, reading: Reading, directory: Directory) {
    this.#connections = connections;
    this.#reading = reading;
    this.#directory = directory;
  }

  /** The record at the other end of each, by the id of the flow. */
  partners(flows: readonly StoredFlow[]): Map<string, StoredFlow> {
    const wanted = flows.filter((flow) => endsOf(flow) !== undefined);
    // What ended at nearly the same time, and agrees in every byte, needs no look further away.
    const found = this.#partnersWithin(wanted, NEAR_US, sameBytes);
    const left = wanted.filter((flow) => !found.has(flowId(flow)));
    return new Map([...found, ...this.#partnersWithin(left, FAR_US, () => true)]);
  }

  #partnersWithin(
    flows: readonly StoredFlow[],
    slackUs: number,
    accept: (flow: StoredFlow, partner: StoredFlow) => boolean,
  ): Map<string, StoredFlow> {
    const candidates = grouped(
      this.#candidates(flows, slackUs).flatMap((it) => {
        const ends = endsOf(it);
        return ends ? [[endsKey(ends), it] as const] : [];
      }),
    );
    const found = new Map<string, StoredFlow>();
    for (const flow of flows) {
      const ends = endsOf(flow);
      const partner = ends && choosePartner(flow, candidates.get(endsKey(ends)) ?? [], slackUs);
      if (partner && accept(flow, partner)) found.set(flowId(flow), partner);
    }
    return found;
  }

  #candidates(flows: readonly StoredFlow[], slackUs: number): StoredFlow[] {
    const ports = [...new Set(flows.map((flow) => endsOf(flow)?.caller.port ?? 0))];
    if (ports.length === 0) return [];
    const found = this.#reading.openWithPorts(ports);
    for (const [day, ofDay] of byDay(flows, slackUs)) {
      const ids = this.#connections.ask(day, (database, index) => {
        const wanted = ofDay.flatMap((flow) =>
          index.find(endsOf(flow)?.caller.port ?? 0, flow.endUs - slackUs, flow.endUs + slackUs),
        );
        return flowsById(database, day, [...new Set(wanted)]);
      });
      for (const flow of ids ?? []) found.push(flow);
    }
    return found;
  }

  /** Who is at the other end of each: from the record there, else from who has the address. */
  peers(flows: readonly StoredFlow[]): (Peer | null)[] {
    const partners = this.partners(flows);
    return flows.map((flow) => {
      const partner = partners.get(flowId(flow));
      if (partner) return peerOf(partner, displayName(partner));
      const { labels: _, workload: __, ...peer } = this.#byAddress(flow) ?? { labels: '', workload: '' };
      return 'how' in peer ? peer : null;
    });
  }

  #byAddress(flow: StoredFlow): LabelledPeer | null {
    const { protocol } = unpackKind(flow.kind);
    const ends = endsOf(flow);
    if (!isEgress(flow)) {
      const caller = flow.translation?.source ?? ends?.caller;
      return caller ? this.#directory.peerAt(caller.address, 0, protocol, flow.endUs, flow.node) : null;
    }
    const server = ends?.server ?? { address: flow.remote, port: flow.remotePort };
    return this.#directory.peerAt(server.address, server.port, protocol, flow.endUs, flow.node);
  }
}

/** By the day files in which the other record can be. */
function byDay(flows: readonly StoredFlow[], slackUs: number): Map<string, StoredFlow[]> {
  return grouped(
    flows.flatMap((flow) =>
      [...new Set([-slackUs, 0, slackUs].map((us) => dayOf(flow.endUs + us)))].map((day) => [day, flow] as const),
    ),
  );
}

function peerOf(partner: StoredFlow, name: string): Peer {
  const { namespace, pod, container, node } = partner;
  return { name, namespace, pod, container, node, flow: flowId(partner), how: 'conversation' };
}
