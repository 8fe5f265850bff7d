// SPDX-License-Identifier: Apache-2.0
//
// Between namespaces each end needs a rule of its own, also where only the other end has the connection on record: its node lost the
// record, or has no agent. What that end would have recorded is made up from what this one did.
import { type Place, type Seen, workloadKey } from './seen.js';

/** One call between two pods, whichever end tells of it; protocol and port as the called end sees them. */
export const callKey = (caller: Place, called: Place, protocol: number, port: number): string =>
  [caller.namespace, caller.pod, called.namespace, called.pod, protocol, port].join('\0');

const portOf = ({ port, backend }: Seen): number => backend?.port ?? port;

/** Of what went through in one direction, where the other end is known. */
export function callsOf(seen: readonly Seen[], direction: Seen['direction']): Set<string> {
  const calls = new Set<string>();
  for (const it of seen) {
    const { own, peer, protocol } = it;
    if (it.direction !== direction || it.verdict === 'denied' || own.container === '' || !peer) continue;
    const [caller, called] = direction === 'egress' ? [own, peer] : [peer, own];
    calls.add(callKey(caller, called, protocol, portOf(it)));
  }
  return calls;
}

/** Only for containers that have something on record themselves: others get no policy, so nothing is closed there. */
export function farEnds(seen: readonly Seen[]): Seen[] {
  const known = new Set(seen.map(({ own }) => `${workloadKey(own)}/${own.container}`));
  const told = { egress: callsOf(seen, 'egress'), ingress: callsOf(seen, 'ingress') };
  return seen.flatMap((it): Seen[] => {
    const { own, peer, protocol, direction, verdict } = it;
    if (!peer || peer.container === '' || own.container === '' || verdict === 'denied') return [];
    if (peer.namespace === own.namespace || !known.has(`${workloadKey(peer)}/${peer.container}`)) return [];
    const [caller, called] = direction === 'egress' ? [own, peer] : [peer, own];
    const other = direction === 'egress' ? 'ingress' : 'egress';
    if (told[other].has(callKey(caller, called, protocol, portOf(it)))) return [];
    return [
      { ...it, own: peer, peer: own, direction: other, port: portOf(it), backend: null, name: null, address: '' },
    ];
  });
}
