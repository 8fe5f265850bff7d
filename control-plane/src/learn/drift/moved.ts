// SPDX-License-Identifier: Apache-2.0
//
// Names, services and addresses that led to another workload than before.
import { isLoopback } from '../../flows/ends.js';
import { EGRESS, workloadName } from '../../flows/map.js';
import { unpackKind } from '../../flows/record.js';
import { workloadOf } from '../../flows/workload.js';
import { addressBits, type World } from '../../policy/index.js';
import type { Place } from '../seen.js';
import type { DriftEdge, Lived, MovedPeer, PeerTime } from './model.js';

/** For so long there has to have been one alone before a second one is news: those behind one service take turns. */
const STEADY_US = 3600e6;
const OUTSIDE = '(outside)';

interface Trail {
  readonly container: string;
  readonly kind: MovedPeer['kind'];
  readonly to: string;
  readonly protocol: number;
  readonly port: number;
  readonly peers: Map<string, PeerTime>;
}

/** Nodes are all the same: what runs in their network has no address of its own. */
function identityOf(peer: Place): string {
  if (peer.pod === '' && peer.container === '') return '(node)';
  return [peer.namespace, peer.pod === '' ? peer.container : workloadOf(peer)].filter((part) => part !== '').join('/');
}

const placeOf = (peer: NonNullable<DriftEdge['peer']>): Place => ({
  ...peer,
  labels: JSON.parse(peer.labels ?? '{}') as Record<string, string>,
});

/** Addresses that are or were somebody's here. */
function ownAddresses(containers: readonly Lived[], { nodes, services }: World): Set<bigint> {
  const texts = [
    ...containers.flatMap((it) => JSON.parse(it.addresses) as string[]),
    ...[...nodes, ...services].flatMap((it) => it.addresses),
  ];
  return new Set(texts.flatMap((it) => addressBits(it) ?? []));
}

function see(peers: Trail['peers'], name: string, firstUs: number, lastUs: number): void {
  const known = peers.get(name);
  peers.set(name, {
    name,
    firstUs: Math.min(known?.firstUs ?? firstUs, firstUs),
    lastUs: Math.max(known?.lastUs ?? lastUs, lastUs),
  });
}

/** `services`: their names by address. */
function trailOf(edge: DriftEdge, services: ReadonlyMap<string, string>): Omit<Trail, 'peers'> {
  const { address, port, backend, name } = edge;
  const base = { container: workloadName(edge.container), protocol: unpackKind(edge.kind).protocol, port };
  if (name !== null) return { ...base, kind: 'name', to: name.toLowerCase() };
  const service = services.get(address);
  const translated = backend !== null && backend.address !== address;
  return { ...base, kind: service || translated ? 'service' : 'address', to: service ?? address };
}

function* moves({ peers, ...trail }: Trail): Generator<MovedPeer> {
  const [first, ...later] = [...peers.values()].sort((a, b) => a.firstUs - b.firstUs || (a.name < b.name ? -1 : 1));
  let before = first;
  for (const now of later) {
    if (!before) return;
    const instead = now.firstUs > before.lastUs;
    if (instead || now.firstUs >= before.firstUs + STEADY_US) yield { ...trail, before, now, instead };
    if (now.lastUs > before.lastUs) before = now;
  }
}

const orderOf = (it: MovedPeer): string => [it.container, it.kind, it.to, it.protocol, it.port, it.now.name].join('\0');

/** Of calls that containers made. Who the far end was is told by its address at the first and at the last flow of each sum. */
export function movedPeers(edges: readonly DriftEdge[], containers: readonly Lived[], world: World): MovedPeer[] {
  const own = ownAddresses(containers, world);
  const services = new Map(
    world.services.flatMap(({ namespace, name, addresses }) =>
      addresses.map((it) => [it, `${namespace}/${name}`] as const),
    ),
  );
  const trails = new Map<string, Trail>();
  for (const edge of edges) {
    if (unpackKind(edge.kind).direction !== EGRESS || edge.container.container === '' || isLoopback(edge.address))
      continue;
    const trail = trailOf(edge, services);
    const key = Object.values(trail).join('\0');
    const { peers } = trails.get(key) ?? { peers: new Map<string, PeerTime>() };
    trails.set(key, { ...trail, peers });
    const server = addressBits(edge.backend?.address ?? edge.address);
    const outside = trail.kind === 'name' && server !== undefined && !own.has(server) ? OUTSIDE : null;
    const last = edge.peer ? identityOf(placeOf(edge.peer)) : outside;
    const before = edge.firstPeer ? identityOf(placeOf(edge.firstPeer)) : last;
    if (before !== null) see(peers, before, edge.firstUs, before === last ? edge.lastUs : edge.firstUs);
    if (last !== null && last !== before) see(peers, last, edge.lastUs, edge.lastUs);
  }
  return [...trails.values()].flatMap((trail) => [...moves(trail)]).sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}
