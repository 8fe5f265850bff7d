// SPDX-License-Identifier: Apache-2.0
//
// What recorded flows would come to under staged versions of policies, by the reference evaluator.
import {
  canBePeer,
  Evaluator,
  type Policy,
  policyKey,
  selects,
  type World,
  type WorldContainer,
} from '../policy/index.js';
import { isEgress, type Peer, type Pending, type StoredFlow, unpackKind } from './record.js';
import { placeOf } from './residents.js';

/** Answers that are kept; then it begins anew. */
const MOST_ANSWERS = 20_000;

const podOf = ({ namespace, pod }: Peer | WorldContainer): string => `${namespace}/${pod}`;

export class PendingJudge {
  readonly #evaluator: Evaluator;
  /** The staged versions and those that they would replace: what selects neither end by one of them is judged as it is. */
  readonly #changing: readonly Policy[];
  readonly #byPlace: ReadonlyMap<string, WorldContainer>;
  readonly #pods: ReadonlySet<string>;
  readonly #byAddress = new Map<string, WorldContainer[]>();
  readonly #subjects = new Map<WorldContainer, boolean>();
  readonly #behind = new Map<string, readonly string[]>();
  readonly #answers = new Map<string, Pending>();

  /** world: as it is in force. */
  constructor(world: World, staged: readonly Policy[]) {
    const keys = new Set(staged.map(policyKey));
    const replaced = world.policies.filter((it) => keys.has(policyKey(it)));
    const policies = [...world.policies.filter((it) => !keys.has(policyKey(it))), ...staged];
    this.#changing = [...replaced, ...staged];
    this.#evaluator = new Evaluator({ ...world, policies });
    this.#pods = new Set(world.containers.map(podOf));
    const peers = world.containers.filter(canBePeer);
    this.#byPlace = new Map(peers.map((it) => [placeOf(it), it]));
    for (const it of peers)
      for (const address of it.addresses) this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), it]);
    for (const { addresses, backends } of world.services) for (const it of addresses) this.#behind.set(it, backends);
  }

  #isSubject(container: WorldContainer): boolean {
    const known = this.#subjects.get(container);
    if (known !== undefined) return known;
    const answer = this.#changing.some((policy) => selects(policy, container));
    this.#subjects.set(container, answer);
    return answer;
  }

  #holders(address: string): WorldContainer[] {
    return [address, ...(this.#behind.get(address) ?? [])].flatMap((it) => this.#byAddress.get(it) ?? []);
  }

  /**
   * null: no staged version is about it, or it cannot be said any more: the container or the pod at the other end is gone, or somebody
   * else has that pod's address.
   */
  judge(flow: StoredFlow, peer: Peer | null): Pending | null {
    const own = this.#byPlace.get(placeOf({ ...flow, name: flow.container }));
    if (!own) return null;
    const holders = this.#holders(flow.remote);
    if (!this.#isSubject(own) && !holders.some((it) => this.#isSubject(it))) return null;
    if (peer?.pod) {
      const wanted = podOf(peer);
      if (!this.#pods.has(wanted)) return null;
      const isOther = (it: WorldContainer) => podOf(it) !== wanted;
      if ((this.#byAddress.get(flow.remote) ?? []).length > 0 && holders.every(isOther)) return null;
    }
    const { protocol } = unpackKind(flow.kind);
    const egress = isEgress(flow);
    const port = egress ? flow.remotePort : flow.localPort;
    const key = [placeOf(own), egress, flow.remote, protocol, port, flow.name].join('\0');
    const known = this.#answers.get(key);
    if (known) return known;
    const { verdict, policy, rule } = this.#evaluator.evaluate({
      container: own,
      direction: egress ? 'egress' : 'ingress',
      address: flow.remote,
      protocol,
      port,
      names: flow.name === null ? [] : [flow.name.toLowerCase()],
    });
    if (this.#answers.size >= MOST_ANSWERS) this.#answers.clear();
    const answer = { verdict, rule: policy === null ? null : `${policy}:${rule}` };
    this.#answers.set(key, answer);
    return answer;
  }
}
