// SPDX-License-Identifier: Apache-2.0
//
// Generated clusters and what their containers did, for what learns from it.
import type { Place, Seen } from '../learn/index.js';
import type { Service, WorldContainer, WorldNode } from '../policy/index.js';
import { Random } from './random.js';

export interface History {
  readonly nodes: readonly WorldNode[];
  readonly containers: readonly WorldContainer[];
  readonly services: readonly Service[];
  readonly seen: readonly Seen[];
}

const START = Date.UTC(2026, 0, 5) * 1000;
const HOUR = 3600e6;
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

export const placeOf = (it: WorldContainer): Place => ({ ...it, container: it.name });

class Maker {
  readonly #random: Random;
  readonly nodes: WorldNode[] = [1, 2, 3].map((i) => ({ name: `n${i}`, addresses: [`172.16.0.${i}`] }));
  readonly containers: WorldContainer[] = [];
  readonly services: Service[] = [];
  readonly seen: Seen[] = [];
  #next = 1;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  cluster(): void {
    const random = this.#random;
    for (const namespace of ['shop', 'pay', 'ops'])
      for (let workload = 0; workload < 4; workload++) {
        const app = `app${workload}`;
        // Some workloads share all labels that they have, some have none.
        const labels: Record<string, string> = random.chance(0.1)
          ? {}
          : { app: random.chance(0.2) ? 'shared' : app, ...(random.chance(0.5) && { tier: random.one(['a', 'b']) }) };
        const hash = `${random.below(90) + 10}`;
        const suffix = () => Array.from({ length: 5 }, () => random.one([...LETTERS])).join('');
        const names = ['main', 'side', 'log'].slice(0, 1 + random.below(3));
        for (let pod = 0; pod <= random.below(3); pod++) {
          const address = `10.${1 + random.below(3)}.0.${this.#next++}`;
          const node = random.one(this.nodes).name;
          const whole = `${app}-${hash}-${suffix()}`;
          for (const name of names)
            this.containers.push({
              namespace,
              pod: whole,
              name,
              image: `${app}:1`,
              labels: Object.keys(labels).length > 0 ? { ...labels, 'pod-template-hash': hash } : {},
              node,
              addresses: [address],
              ports: [],
            });
        }
      }
  }

  #add(own: WorldContainer, more: Pick<Seen, 'direction' | 'address' | 'port'> & Partial<Seen>): void {
    const firstUs = START + this.#random.below(48) * HOUR;
    this.seen.push({
      own: placeOf(own),
      verdict: 'allowed',
      answered: true,
      protocol: 6,
      backend: null,
      name: null,
      peer: null,
      flows: 2 + this.#random.below(1000),
      firstUs,
      lastUs: firstUs + this.#random.below(24) * HOUR,
      ...more,
    });
  }

  #call(caller: WorldContainer, called: WorldContainer, protocol: number, port: number): void {
    if (caller.pod === called.pod) return;
    const address = called.addresses[0] as string;
    if (this.#random.chance(0.3)) {
      const service = `10.96.0.${1 + this.#random.below(200)}`;
      this.#add(caller, {
        direction: 'egress',
        address: service,
        port: port + 1,
        protocol,
        backend: { address, port },
        peer: placeOf(called),
      });
    } else {
      this.#add(caller, { direction: 'egress', address, port, protocol, peer: placeOf(called) });
    }
    // Containers of one pod share their address, so that the called end often knows the pod alone.
    const siblings = this.containers.filter((it) => it.pod === caller.pod && it.namespace === caller.namespace);
    const peer = placeOf(caller);
    this.#add(called, {
      direction: 'ingress',
      address: caller.addresses[0] as string,
      port,
      protocol,
      peer: siblings.length > 1 && this.#random.chance(0.7) ? { ...peer, container: '' } : peer,
    });
  }

  act(count: number): void {
    const random = this.#random;
    for (let i = 0; i < count; i++) {
      const own = random.one(this.containers);
      const kind = random.below(7);
      if (kind <= 2) this.#call(own, random.one(this.containers), random.one([6, 17]), 1000 + random.below(30));
      else if (kind === 3)
        this.#add(own, {
          direction: 'egress',
          address: `203.0.113.${random.below(250)}`,
          port: 443,
          name: `h${random.below(9)}.example.com`,
        });
      else if (kind === 4)
        this.#add(own, {
          direction: 'egress',
          address: `198.${random.below(200)}.${random.below(9)}.${random.below(250)}`,
          port: random.one([80, 443, 5000 + random.below(99)]),
        });
      else if (kind === 5)
        this.#add(own, { direction: 'egress', address: '10.96.0.10', port: 53, protocol: random.one([6, 17]) });
      else
        this.#add(own, { direction: 'ingress', address: `192.0.${random.below(9)}.${random.below(250)}`, port: 8080 });
    }
  }
}

export function makeHistory(seed: number, actions: number): History {
  const maker = new Maker(seed);
  maker.cluster();
  maker.act(actions);
  return maker;
}
