// SPDX-License-Identifier: Apache-2.0
//
// What would become of a connection, at each of its ends that is a container: the reference evaluator asked from both sides.
import { type Evaluation, Evaluator, type Verdict } from './evaluate.js';
import type { Direction } from './model.js';
import { addressBits } from './network.js';
import { canBePeer, type World, type WorldContainer } from './world.js';

/** Containers by "namespace/pod/container" or shorter, or an address. */
export interface Ask {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  /** Of the destination; of ICMP, the type. */
  readonly port: number;
  /** Under which the caller looked the address up. */
  readonly name: string | null;
}

export interface EndExplained {
  readonly container: WorldContainer;
  readonly direction: Direction;
  /** Of the far side. */
  readonly address: string;
  readonly evaluation: Evaluation;
}

export interface Explained {
  readonly from: string;
  readonly to: string;
  /** Both ends have to let it pass; an end that is no watched container has no say. */
  readonly verdict: Verdict;
  readonly ends: readonly EndExplained[];
}

/** Pairs of a caller and one that is called; an answer of more is of no use to anybody. */
export const MOST_PAIRS = 20;
const VERDICTS: readonly Verdict[] = ['allowed', 'audit', 'denied'];

interface Place {
  readonly name: string;
  readonly container: WorldContainer | null;
  readonly addresses: readonly string[];
}

export const nameOf = ({ namespace, pod, name }: Pick<WorldContainer, 'namespace' | 'pod' | 'name'>): string =>
  [namespace, pod, name].filter((part) => part !== '').join('/');

function placesOf(world: World, text: string): Place[] {
  if (addressBits(text) !== undefined) return [{ name: text, container: null, addresses: [text] }];
  const wanted = text.split('/').reverse();
  return world.containers
    .filter((it) => canBePeer(it) && wanted.every((part, index) => part === [it.name, it.pod, it.namespace][index]))
    .map((container) => ({ name: nameOf(container), container, addresses: container.addresses }));
}

const isV4 = (address: string): boolean => !address.includes(':');

/** The address of `place` by which `other` gets there: of the same family as one of its own. */
function addressFor(place: Place, other: Place): string | undefined {
  const usable = (address: string) =>
    other.addresses.length === 0 || other.addresses.some((it) => isV4(it) === isV4(address));
  return place.addresses.find(usable) ?? place.addresses[0];
}

/** Empty: one of the ends is not known, or neither is a container. */
export function explain(world: World, ask: Ask): Explained[] {
  const evaluator = new Evaluator(world);
  const callers = placesOf(world, ask.from);
  const called = placesOf(world, ask.to);
  const pairs = callers.flatMap((caller) => called.map((target) => ({ caller, target }))).slice(0, MOST_PAIRS);
  return pairs.flatMap(({ caller, target }) => {
    const end = (own: Place, far: Place, direction: Direction): EndExplained[] => {
      const address = addressFor(far, own);
      if (!own.container || address === undefined) return [];
      const names = ask.name !== null && direction === 'egress' ? [ask.name.toLowerCase()] : [];
      const connection = {
        container: own.container,
        direction,
        address,
        protocol: ask.protocol,
        port: ask.port,
        names,
      };
      return [{ container: own.container, direction, address, evaluation: evaluator.evaluate(connection) }];
    };
    const ends = [...end(caller, target, 'egress'), ...end(target, caller, 'ingress')];
    if (ends.length === 0) return [];
    const worst = Math.max(...ends.map(({ evaluation }) => VERDICTS.indexOf(evaluation.verdict)));
    return [{ from: caller.name, to: target.name, verdict: VERDICTS[worst] as Verdict, ends }];
  });
}
