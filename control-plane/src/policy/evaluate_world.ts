// SPDX-License-Identifier: Apache-2.0
//
// Who is at an address: plain look-ups for the reference evaluator.
import { comparePolicies, type Policy } from './model.js';
import { addressBits } from './network.js';
import { selects } from './select.js';
import { bitsOf, canBePeer, type Service, type World, type WorldContainer } from './world.js';

/** Who may be reached, and at which of its ports; container: null is nobody that is known. */
export interface Target {
  readonly container: WorldContainer | null;
  readonly port: number;
}

export class Places {
  readonly world: World;
  /** In the order in which they are asked. */
  readonly policies: readonly Policy[];
  readonly #nodesOf = new Map<bigint, string[]>();
  readonly #holders = new Map<bigint, WorldContainer[]>();
  readonly #services = new Map<bigint, Service[]>();

  constructor(world: World) {
    this.world = world;
    this.policies = [...world.policies].sort(comparePolicies);
    for (const node of world.nodes) for (const bits of bitsOf(node.addresses)) push(this.#nodesOf, bits, node.name);
    for (const container of world.containers)
      if (canBePeer(container)) for (const bits of this.addressesOf(container)) push(this.#holders, bits, container);
    for (const service of world.services)
      for (const bits of bitsOf(service.addresses)) push(this.#services, bits, service);
  }

  /** A pod in the network of its host has none of its own. */
  addressesOf(container: WorldContainer): bigint[] {
    return bitsOf(container.addresses).filter((bits) => !this.#nodesOf.has(bits));
  }

  selecting(container: WorldContainer): Policy[] {
    return this.policies.filter((policy) => selects(policy, container));
  }

  isNode(address: bigint, node: string): boolean {
    return this.#nodesOf.get(address)?.includes(node) ?? false;
  }

  isKnown(address: bigint): boolean {
    return this.#nodesOf.has(address) || this.#holders.has(address) || this.#services.has(address);
  }

  servicesAt(address: bigint): readonly Service[] {
    return this.#services.get(address) ?? [];
  }

  /** Hosts that do not route to each other can use the same addresses: those of the own node are nearer. */
  #near(address: bigint, node: string): readonly WorldContainer[] {
    const all = this.#holders.get(address) ?? [];
    const near = all.filter((it) => it.node === node);
    return near.length > 0 ? near : all;
  }

  /** `services`: the address was asked for, so it can be that of a service. */
  targets(address: bigint, node: string, services: boolean, protocol: number, port: number): Target[] {
    const direct = this.#near(address, node).map((container) => ({ container, port }));
    const behind = (services ? this.servicesAt(address) : []).flatMap((service) =>
      service.ports
        .filter((it) => it.protocol === protocol && it.port === port)
        .flatMap(({ target }) =>
          service.backends.flatMap((backend) =>
            this.#near(addressBits(backend) ?? 0n, node).map((container) => ({ container, port: target })),
          ),
        ),
    );
    const found = [...direct, ...behind];
    return found.length > 0 ? found : [{ container: null, port }];
  }
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
