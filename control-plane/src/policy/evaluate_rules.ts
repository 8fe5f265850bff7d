// SPDX-License-Identifier: Apache-2.0
//
// Whether one rule is about one connection, for the reference evaluator.
import type { Places } from './evaluate_world.js';
import { type Direction, isCluster, opensFarEnd, type Peer, type Policy, type PortMatch, type Rule } from './model.js';
import { addressBits, isWithin, LINK_LOCAL_NETWORKS, LOOPBACK_NETWORKS } from './network.js';
import { matches } from './select.js';
import { type Service, serviceKey, type WorldContainer } from './world.js';

/** A connection at one of its ends, with one of those who may be at the other. */
export interface Meeting {
  readonly places: Places;
  readonly own: WorldContainer;
  readonly direction: Direction;
  readonly far: WorldContainer | null;
  /** Of the far side. */
  readonly address: bigint;
  readonly protocol: number;
  /** As it was asked for. */
  readonly port: number;
  /** At which the destination gets it: another one behind a service. */
  readonly targetPort: number;
}

/** may: this end cannot know; for the far end to decide. */
export type Match = 'yes' | 'no' | 'may';
export interface Matched {
  readonly match: Match;
  readonly why: string;
}

const YES: Matched = { match: 'yes', why: 'matches' };
const OTHER_PEER: Matched = { match: 'no', why: 'is about other peers' };
const OTHER_PORT: Matched = { match: 'no', why: 'is about other ports' };
const UNKNOWN: Matched = { match: 'may', why: 'may match: the far end decides' };
const IGNORED: Matched = { match: 'no', why: 'may match: the far end decides, and denies there' };

type PortsOf = (protocol: number, name: string) => readonly number[];

function portMatches(ports: readonly PortMatch[], protocol: number, port: number, named: PortsOf): boolean {
  if (ports.length === 0) return true;
  return ports.some((it) => {
    if (it.protocol !== protocol) return false;
    return 'portName' in it ? named(protocol, it.portName).includes(port) : it.first <= port && port <= it.last;
  });
}

function portsOf(container: WorldContainer | null): PortsOf {
  return (protocol, name) =>
    (container?.ports ?? []).filter((it) => it.protocol === protocol && it.name === name).map((it) => it.port);
}

function servicePorts(service: Service): PortsOf {
  return (protocol, name) =>
    service.ports.filter((it) => it.protocol === protocol && it.name === name).map((it) => it.port);
}

function destinationOf(meeting: Meeting): WorldContainer | null {
  return meeting.direction === 'egress' ? meeting.far : meeting.own;
}

/** At the port where the destination listens. */
function atTarget(rule: Rule, meeting: Meeting): boolean {
  return portMatches(rule.ports, meeting.protocol, meeting.targetPort, portsOf(destinationOf(meeting)));
}

/** At the port that was asked for. */
function asAsked(rule: Rule, meeting: Meeting): boolean {
  return portMatches(rule.ports, meeting.protocol, meeting.port, portsOf(destinationOf(meeting)));
}

function isEntity(entity: string, { places, own, address }: Meeting): boolean {
  const { options } = places.world;
  const cluster = places.isKnown(address) || isWithin(options.clusterNetworks, address);
  if (entity === 'Node') return places.isNode(address, own.node);
  if (entity === 'Cluster') return cluster;
  if (entity === 'APIServer') return isWithin(options.apiServer, address);
  return !cluster && !isWithin(LOOPBACK_NETWORKS, address) && !isWithin(LINK_LOCAL_NETWORKS, address);
}

function serviceMatches(rule: Rule, service: Service, meeting: Meeting): boolean {
  const { address, protocol, port } = meeting;
  const named = servicePorts(service);
  const itself = service.addresses.some((it) => addressBits(it) === address);
  if (itself && portMatches(rule.ports, protocol, port, named)) return true;
  const behind = service.backends.some((it) => addressBits(it) === address);
  return (
    behind &&
    service.ports.some(
      (it) => it.protocol === protocol && it.target === port && portMatches(rule.ports, protocol, it.port, named),
    )
  );
}

function ownPeer(peer: Peer, rule: Rule, meeting: Meeting): boolean {
  const { address, far, places } = meeting;
  switch (peer.kind) {
    case 'containers':
      return far !== null && matches(peer.selector, far) && atTarget(rule, meeting);
    case 'networks':
      return isWithin(peer.networks, address) && !isWithin(peer.except, address) && asAsked(rule, meeting);
    case 'entities':
      return peer.entities.some((entity) => isEntity(entity, meeting)) && asAsked(rule, meeting);
    case 'services': {
      const meant = new Set(peer.services.map(serviceKey));
      const services = places.world.services.filter((it) => meant.has(serviceKey(it)));
      return services.some((service) => serviceMatches(rule, service, meeting));
    }
    case 'domainNames':
      return false;
  }
}

/** A rule of the own end, for the direction of the connection. */
export function matchOwn(rule: Rule, meeting: Meeting): Matched {
  if (rule.peers.length === 0) return asAsked(rule, meeting) ? YES : OTHER_PORT;
  if (rule.peers.some((peer) => ownPeer(peer, rule, meeting))) return YES;
  const anyPort = { ...rule, ports: [] };
  return rule.peers.some((peer) => ownPeer(peer, anyPort, meeting)) ? OTHER_PORT : OTHER_PEER;
}

/** A rule of the far end, for the direction as it sees it: it is about the own end by its containers only. */
export function matchFar(rule: Rule, meeting: Meeting): Matched {
  const { own, direction } = meeting;
  const named = rule.peers.some((peer) => peer.kind === 'containers' && matches(peer.selector, own));
  if ((named || rule.peers.length === 0) && atTarget(rule, meeting)) return YES;
  const unknown = rule.peers.some((peer) => peer.kind !== 'containers');
  // The sender asked for a port that may have been translated on the way.
  const fits = direction === 'ingress' ? unknown || rule.peers.length === 0 : unknown && atTarget(rule, meeting);
  if (fits) return rule.action === 'Accept' ? UNKNOWN : IGNORED;
  return named || unknown || rule.peers.length === 0 ? OTHER_PORT : OTHER_PEER;
}

/** A rule that `policy` has for `about`, at the other end: `here`. It opens nothing in another namespace. */
export function matchMirrored(policy: Policy, rule: Rule, here: WorldContainer, meeting: Meeting): Matched {
  const named = rule.peers.some((peer) => peer.kind === 'containers' && matches(peer.selector, here));
  if (!named) return OTHER_PEER;
  if (!opensFarEnd(policy, rule.action))
    return { match: 'no', why: 'is of a NetworkPolicy, which opens its own end alone' };
  if (rule.action === 'Accept' && !isCluster(policy) && policy.namespace !== here.namespace)
    return { match: 'no', why: 'accepts nothing for a container of another namespace' };
  return atTarget(rule, meeting) ? YES : OTHER_PORT;
}
