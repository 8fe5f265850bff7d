// SPDX-License-Identifier: Apache-2.0
//
// How much wider than a history policies are: of all that could be made of the ends and ports in it, what they accept and nobody did.
import { workloadKey } from '../learn/seen.js';
import type { Evaluator, WorldContainer } from '../policy/index.js';
import type { MadeFlow, MadeHistory } from './history.js';
import { HOURS, isAlive, type MadeContainer, type MadeWorkload } from './history_cluster.js';

export interface Width {
  /** Tuples of a workload container, a direction, a peer, a protocol and a port: those that somebody did. */
  readonly seen: number;
  /** That nobody did, and how many of them are accepted. */
  readonly others: number;
  readonly accepted: number;
  /** A few of the accepted ones, to look into. */
  readonly examples: readonly string[];
}

interface PeerPlace {
  readonly key: string;
  readonly address: string;
  readonly name?: string;
}

const MOST_EXAMPLES = 8;
const podsOf = (it: WorldContainer): string => workloadKey({ ...it, labels: it.labels });
const ownKey = (it: WorldContainer): string => `${podsOf(it)}/${it.name}`;
const alive = ({ containers }: MadeWorkload): MadeContainer | undefined =>
  containers.find((it) => isAlive(it, HOURS - 1)) ?? containers.at(-1);

/** Of one replica each: what a policy says of one it says of all. Pods stand for their containers, which share their address. */
class Universe {
  readonly owns: readonly MadeContainer[];
  readonly peers = new Map<string, PeerPlace>();
  readonly ports = new Map<string, { protocol: number; port: number }>();
  readonly seen = new Set<string>();
  readonly #byAddress = new Map<string, string>();

  constructor({ cluster }: MadeHistory, flows: Iterable<MadeFlow>) {
    this.owns = cluster.workloads.flatMap((it) => alive(it) ?? []);
    for (const it of cluster.containers) for (const address of it.addresses) this.#byAddress.set(address, podsOf(it));
    for (const it of [...cluster.services, ...cluster.untold])
      for (const address of it.addresses) this.#byAddress.set(address, `service ${it.namespace}/${it.name}`);
    for (const { name, addresses } of cluster.nodes)
      for (const address of addresses) this.#byAddress.set(address, `node ${name}`);
    for (const it of this.owns) this.#note({ key: podsOf(it), address: it.addresses[0] ?? '' });
    for (const it of flows) this.#take(it);
  }

  #note(place: PeerPlace): void {
    if (!this.peers.has(place.key)) this.peers.set(place.key, place);
  }

  #placeOf(address: string, name?: string): PeerPlace {
    const known = this.#byAddress.get(address);
    if (known === undefined) return { key: name ?? address, address, ...(name !== undefined && { name }) };
    return { key: known, address };
  }

  #see(own: WorldContainer, direction: string, place: PeerPlace, protocol: number, port: number): void {
    this.seen.add([ownKey(own), direction, place.key, protocol, port].join('|'));
  }

  #take(it: MadeFlow): void {
    const { own, direction, address, protocol, port, name, caller, called, odd } = it;
    if (address === '127.0.0.1') return;
    const place = this.#placeOf(address, name);
    if (odd === null && !place.key.startsWith('node ')) {
      this.#note(place);
      this.#see(own, direction, place, protocol, port);
    }
    this.ports.set(`${protocol}/${port}`, { protocol, port });
    if (odd !== null || !caller || !called) return;
    // A connection has two ends, whoever has it on record.
    const at = (of: MadeContainer) => this.#placeOf(of.addresses[0] ?? '');
    this.#see(caller, 'egress', at(called), protocol, it.calledPort);
    this.#see(called, 'ingress', at(caller), protocol, it.calledPort);
  }
}

/** `part`: of the tuples, chosen evenly. */
export function widthOf(history: MadeHistory, evaluator: Evaluator, part = 1): Width {
  const { owns, peers, ports, seen } = new Universe(history, history.flows());
  const examples: string[] = [];
  let [others, accepted, turn] = [0, 0, 0];
  for (const own of owns)
    for (const direction of ['egress', 'ingress'] as const)
      for (const { key, address, name } of peers.values()) {
        // What a pod says to itself is always accepted, and services call nobody.
        if (own.addresses.includes(address) || (direction === 'ingress' && (name || key.startsWith('service '))))
          continue;
        for (const { protocol, port } of ports.values()) {
          turn += part;
          if (turn < 1) continue;
          turn -= 1;
          if (seen.has([ownKey(own), direction, key, protocol, port].join('|'))) continue;
          others++;
          const names = name === undefined ? [] : [name];
          const connection = { container: own, direction, address, protocol, port, names };
          const { verdict, policy, rule } = evaluator.evaluate(connection);
          if (verdict !== 'allowed') continue;
          accepted++;
          if (examples.length < MOST_EXAMPLES)
            examples.push(`${ownKey(own)} ${direction} ${key} ${protocol}/${port} by ${policy}:${rule}`);
        }
      }
  return { seen: seen.size, others, accepted, examples };
}
