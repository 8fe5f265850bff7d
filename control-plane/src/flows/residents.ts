// SPDX-License-Identifier: Apache-2.0
//
// Who stands today for the containers of recorded flows, so that policies can be asked about them.
import { canBePeer, type WorldContainer } from '../policy/index.js';
import type { EffectInput } from './effect.js';
import { workloadContainer, workloadName } from './map.js';

const isV4 = (address: string): boolean => !address.includes(':');
export const workloadOf = (it: WorldContainer): string => workloadContainer({ ...it, container: it.name });
export const placeOf = (it: { node: string; namespace: string; pod: string; name: string }): string =>
  [it.node, it.namespace, it.pod, it.name].join('\0');

/** Containers as they are now, and those of the record that are gone. */
export class Residents {
  readonly #byPlace: ReadonlyMap<string, WorldContainer>;
  readonly #byAddress = new Map<string, WorldContainer[]>();
  readonly #byWorkload = new Map<string, WorldContainer>();
  readonly #ghosts = new Map<string, WorldContainer>();

  constructor(containers: readonly WorldContainer[]) {
    this.#byPlace = new Map(containers.map((it) => [placeOf(it), it]));
    for (const it of containers.filter(canBePeer)) {
      this.#byWorkload.set(workloadOf(it), it);
      for (const address of it.addresses) this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), it]);
    }
  }

  own({ container }: EffectInput): WorldContainer {
    const { node, namespace, pod, image, labels, addresses, container: name } = container;
    const facts = { node, namespace, pod, name, image };
    return (
      this.#byPlace.get(placeOf(facts)) ?? {
        ...facts,
        labels: JSON.parse(labels),
        addresses: JSON.parse(addresses),
        ports: [],
      }
    );
  }

  /** Where who was at the far end is today. null: somebody else has that address. */
  addressOf({ address, backend, peer, container }: EffectInput): string | null {
    // Of a service, the address that was asked for is what policies see.
    if (!peer?.container || (backend !== null && backend.address !== address)) return address;
    const workload = workloadName(peer);
    const holders = this.#byAddress.get(address) ?? [];
    if (holders.some((it) => workloadOf(it) === workload)) return address;
    const replica = this.#byWorkload.get(workload)?.addresses.find((it) => isV4(it) === isV4(address));
    if (replica !== undefined) return replica;
    if (holders.length > 0) return null;
    const { namespace, pod, container: name, labels = '{}' } = peer;
    const node = peer.node || container.node;
    const ghost = {
      node,
      namespace,
      pod,
      name,
      image: '',
      labels: JSON.parse(labels),
      addresses: [address],
      ports: [],
    };
    this.#ghosts.set(address, ghost);
    return address;
  }

  get ghosts(): WorldContainer[] {
    return [...this.#ghosts.values()];
  }
}
