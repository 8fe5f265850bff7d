// SPDX-License-Identifier: Apache-2.0
//
// What policies that are there already refuse of what was learned: a Deny rule, or a policy that this one joins. New rules do not
// help against these.

import { workloadOf } from '../flows/workload.js';
import { Evaluator, type World } from '../policy/index.js';
import { peerText, type Seen } from './seen.js';

export interface Conflict {
  readonly namespace: string;
  readonly workload: string;
  readonly container: string;
  readonly direction: 'egress' | 'ingress';
  readonly peer: string;
  readonly protocol: number;
  readonly port: number;
  readonly flows: number;
  /** That refuses it, "policy:rule". */
  readonly rule: string;
}

/** Questions to the evaluator. */
const MOST_QUESTIONS = 20_000;
const DEFAULT_DENY = '(default deny)';

const placeKey = (it: { node: string; namespace: string; pod: string }, container: string): string =>
  [it.node, it.namespace, it.pod, container].join('\0');

export interface Conflicts {
  readonly conflicts: readonly Conflict[];
  /** Different connections that there was no time for. */
  readonly unasked: number;
}

/** Of connections of containers that run now. What only the isolation by another policy refuses is no conflict: rules add up. */
export function conflictsOf(accepted: readonly Seen[], world: World): Conflicts {
  const denying = world.policies.filter((it) => [...it.egress, ...it.ingress].some(({ action }) => action === 'Deny'));
  if (denying.length === 0) return { conflicts: [], unasked: 0 };
  const evaluator = new Evaluator(world);
  const running = new Map(world.containers.map((it) => [placeKey(it, it.name), it]));
  const found = new Map<string, Conflict>();
  let [asked, unasked] = [0, 0];
  for (const seen of accepted) {
    const { own, direction, address, protocol, port, name } = seen;
    const container = running.get(placeKey(own, own.container));
    if (!container) continue;
    if (asked >= MOST_QUESTIONS) {
      unasked++;
      continue;
    }
    asked++;
    const names = name === null ? [] : [name.toLowerCase()];
    const { verdict, policy, rule } = evaluator.evaluate({ container, direction, address, protocol, port, names });
    if (verdict !== 'denied' || rule === DEFAULT_DENY) continue;
    const [peer, by] = [peerText(seen), `${policy}:${rule}`];
    const workload = workloadOf(own);
    const key = [own.namespace, workload, own.container, direction, peer, protocol, port, by].join('\0');
    const flows = (found.get(key)?.flows ?? 0) + seen.flows;
    const { namespace, container: named } = own;
    found.set(key, { namespace, workload, container: named, direction, peer, protocol, port, flows, rule: by });
  }
  return { conflicts: [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, it]) => it), unasked };
}
