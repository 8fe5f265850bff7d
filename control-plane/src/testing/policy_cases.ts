// SPDX-License-Identifier: Apache-2.0
//
// Small worlds in which everything meets: policies that overlap, containers that share addresses, connections between them.

import type { Connection } from '../policy/evaluate.js';
import {
  type Action,
  type Direction,
  ICMP,
  ICMPV6,
  type Network,
  type Peer,
  type Policy,
  type PortMatch,
  type Requirement,
  type Rule,
  type Selector,
  TCP,
  UDP,
} from '../policy/model.js';
import { parseNetwork } from '../policy/network.js';
import type { Service, World, WorldContainer } from '../policy/world.js';
import type { Random } from './random.js';

const NAMESPACES = ['shop', 'bank', ''];
const APPS = ['web', 'db', 'cache'];
const NAMES = ['main', 'proxy', 'init'];
const IMAGES = ['nginx:1.25', 'registry:5000/shop/web:2@sha256:ab', 'redis', ''];
const IMAGE_PATTERNS = ['nginx', 'nginx:1.25', 'registry:5000/shop/web', '*redis*', 'registry:5000/*', '*'];
const NODES = ['n1', 'n2'];
const PORTS = [1, 53, 79, 80, 81, 443, 1023, 1024, 8080, 8191, 8192, 65534, 65535];
const PORT_NAMES = ['http', 'admin'];
const DOMAINS = ['api.example.com', '*.example.com', 'example.com', '*.com', 'a.b.example.com', '*.b.example.com'];
const LEARNED = ['api.example.com', 'a.b.example.com', 'example.com', 'x.com', 'other.org'];
const NETWORKS = [
  ...[
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/8',
    '10.7.0.0/16',
    '10.7.0.0/24',
    '10.7.0.0/29',
    '10.7.0.1',
    '10.7.0.2',
    '10.7.9.9',
  ],
  ...['127.0.0.0/8', '127.0.0.1', '::1', 'fd07::/64', 'fd07::1', 'fd07::/120', '169.254.169.254', '8.0.0.0/5'],
  ...['10.7.255.0/24', '10.96.0.0/16', '10.96.0.1'],
].map(network);
const STRANGERS = ['10.7.9.9', '10.7.0.200', '10.8.0.1', '8.8.8.8', '127.0.0.1', '127.9.9.9', '::1', '169.254.169.254'];
const MORE_STRANGERS = ['fe80::1', 'fd07::99', '2001:db8::1', '255.255.255.255', '10.96.0.77'];

function network(text: string): Network {
  return parseNetwork(text) as Network;
}

const within = (outer: Network, inner: Network): boolean =>
  outer.prefix < inner.prefix &&
  inner.address >> BigInt(128 - outer.prefix) === outer.address >> BigInt(128 - outer.prefix);

function requirement(random: Random): Requirement {
  const operator = random.one(['In', 'In', 'NotIn', 'Exists', 'DoesNotExist'] as const);
  const values = operator === 'In' || operator === 'NotIn' ? [random.one(APPS), ...random.some(APPS, 1)] : [];
  return { key: random.one(['app', 'app', 'tier']), operator, values };
}

function selector(random: Random, namespaces: readonly string[] | null): Selector {
  return {
    namespaces,
    podLabels: random.chance(0.5) ? [requirement(random)] : [],
    podNames: random.chance(0.1) ? [`pod${random.below(4)}`] : [],
    containers: random.chance(0.3) ? [random.one(NAMES)] : [],
    images: random.chance(0.1) ? [random.one(IMAGE_PATTERNS)] : [],
  };
}

function peerNamespaces(random: Random, own: string | null): readonly string[] | null {
  if (random.chance(0.3)) return null;
  if (random.chance(0.3)) return [random.one(NAMESPACES), random.one(NAMESPACES)];
  return own === null ? null : [own];
}

function peer(random: Random, own: string | null, direction: Direction, action: Action, services: boolean): Peer {
  const kind = random.below(services && direction === 'egress' ? 10 : 9);
  if (kind < 4) return { kind: 'containers', selector: selector(random, peerNamespaces(random, own)) };
  if (kind < 6) {
    const networks = random.some(NETWORKS, 2);
    const chosen = networks.length > 0 ? networks : [random.one(NETWORKS)];
    const except = NETWORKS.filter((it) => random.chance(0.2) && chosen.some((outer) => within(outer, it)));
    return { kind: 'networks', networks: chosen, except };
  }
  if (kind < 8 || (kind === 8 && (direction === 'ingress' || action === 'Deny')))
    return { kind: 'entities', entities: [random.one(['Node', 'Cluster', 'World', 'APIServer'] as const)] };
  if (kind === 8) return { kind: 'domainNames', names: [random.one(DOMAINS), ...random.some(DOMAINS, 1)] };
  return { kind: 'services', services: [{ namespace: random.one(NAMESPACES), name: random.one(['one', 'two']) }] };
}

function portMatch(random: Random, named: boolean): PortMatch[] {
  if (random.chance(0.15)) {
    const type = random.chance(0.5) ? random.one([0, 3, 8, 128]) : undefined;
    return [ICMP, ICMPV6].map((protocol) => ({ protocol, first: type ?? 0, last: type ?? 65535 }));
  }
  const protocol = random.one([TCP, TCP, UDP]);
  if (named && random.chance(0.4)) return [{ protocol, portName: random.one(PORT_NAMES) }];
  if (random.chance(0.2)) return [{ protocol, first: 0, last: 65535 }];
  const [a, b] = [random.one(PORTS), random.one(PORTS)];
  return [{ protocol, first: Math.min(a, b), last: random.chance(0.5) ? Math.min(a, b) : Math.max(a, b) }];
}

function rule(random: Random, name: string, own: string | null, direction: Direction): Rule {
  const action = random.one(['Accept', 'Accept', 'Deny'] as const);
  const peers = random.chance(0.2) ? [] : random.times(1, 2, () => peer(random, own, direction, action, true));
  const named =
    direction === 'ingress' ||
    (peers.length > 0 && peers.every((it) => it.kind === 'containers' || it.kind === 'services'));
  const ports = random.chance(0.3) ? [] : random.times(1, 2, () => portMatch(random, named)).flat();
  return { name, action, peers, ports };
}

function policy(random: Random, index: number): Policy {
  const cluster = random.chance(0.3);
  const namespace = cluster ? '' : random.one(NAMESPACES);
  const own = cluster ? null : namespace;
  const rules = (direction: Direction) => random.times(0, 3, (at) => rule(random, `${direction}${at}`, own, direction));
  const [egress, ingress] = [rules('egress'), rules('ingress')];
  const isolates = (list: readonly Rule[]) => list.some((it) => it.action === 'Accept') || random.chance(0.15);
  const namespaces = cluster ? (random.chance(0.5) ? null : [random.one(NAMESPACES)]) : [namespace];
  return {
    kind: cluster ? 'ClusterContainerPolicy' : random.one(['ContainerPolicy', 'ContainerPolicy', 'NetworkPolicy']),
    namespace,
    name: `p${index}`,
    mode: random.one(['Enforce', 'Enforce', 'Audit']),
    isolated: { egress: isolates(egress), ingress: isolates(ingress) },
    loopback: random.chance(0.8) ? 'Allow' : 'Deny',
    rawSockets: random.one(['Allow', 'Deny']),
    subject: random.chance(0.15)
      ? { namespaces, podLabels: [], podNames: [], containers: [], images: [] }
      : selector(random, namespaces),
    egress,
    ingress,
  };
}

function pod(random: Random, index: number): WorldContainer[] {
  const node = random.one(NODES);
  const host = random.chance(0.1);
  // Two hosts may use the same private address.
  const number = random.chance(0.1) ? 1 : index + 1;
  const addresses = host ? [`10.7.255.${NODES.indexOf(node) + 1}`] : [`10.7.0.${number}`];
  if (!host && random.chance(0.4)) addresses.push(`fd07::${number}`);
  const labels = { ...(random.chance(0.9) && { app: random.one(APPS) }), ...(random.chance(0.3) && { tier: 'db' }) };
  const namespace = random.one(NAMESPACES);
  return random.times(1, 3, (at) => ({
    namespace,
    pod: `pod${index}`,
    name: NAMES[at] as string,
    labels,
    image: random.one(IMAGES),
    node,
    addresses,
    ports: random.chance(0.4)
      ? [{ name: random.one(PORT_NAMES), protocol: random.one([TCP, UDP]), port: random.one(PORTS) }]
      : [],
  }));
}

function service(random: Random, name: string, pods: readonly WorldContainer[]): Service {
  return {
    namespace: random.one(NAMESPACES),
    name,
    addresses: [`10.96.0.${name === 'one' ? 1 : 2}`],
    ports: random.times(1, 2, (at) => ({
      name: PORT_NAMES[at] as string,
      protocol: random.one([TCP, TCP, UDP]),
      port: random.one(PORTS),
      target: random.one(PORTS),
    })),
    backends: [
      ...new Set(random.some(pods, 3).flatMap((it) => it.addresses)),
      ...(random.chance(0.2) ? ['10.7.9.9'] : []),
    ],
  };
}

export function randomWorld(random: Random): World {
  const containers = random.times(2, 6, (index) => pod(random, index)).flat();
  const list = (texts: readonly string[]) => random.some(texts, 1).map(network);
  return {
    policies: random.times(1, 5, (index) => policy(random, index)),
    containers,
    services: random.chance(0.4) ? ['one', 'two'].map((name) => service(random, name, containers)) : [],
    nodes: NODES.map((name, at) => ({
      name,
      addresses: [`10.7.255.${at + 1}`, '10.7.254.1'].slice(0, 1 + random.below(2)),
    })),
    options: {
      clusterNetworks: list(['10.7.0.0/16', '10.96.0.0/16']),
      apiServer: random.chance(0.3) ? list(['10.7.255.1', '10.7.9.9', '10.96.0.2']) : [],
      dnsServers: random.chance(0.3) ? list(['10.96.0.1', '10.7.0.2', '127.0.0.0/8']) : [],
    },
  };
}

export function randomConnection(random: Random, world: World): Connection {
  const all = [
    ...world.containers.flatMap((it) => it.addresses),
    ...world.services.flatMap((it) => [...it.addresses, ...it.backends]),
    ...world.nodes.flatMap((it) => it.addresses),
  ];
  const ports = [...world.services.flatMap((it) => it.ports.map(({ port }) => port)), ...PORTS];
  const protocol = random.one([TCP, TCP, TCP, UDP, UDP, ICMP, ICMPV6, 132]);
  const icmp = protocol === ICMP || protocol === ICMPV6;
  return {
    container: random.one(world.containers),
    direction: random.one(['egress', 'egress', 'ingress']),
    address: random.chance(0.7) ? random.one(all) : random.one([...STRANGERS, ...MORE_STRANGERS]),
    protocol,
    port: icmp ? random.one([0, 3, 8, 128, 129]) : random.chance(0.7) ? random.one(ports) : 1 + random.below(65535),
    names: random.chance(0.4) ? random.some(LEARNED, 2) : [],
  };
}
