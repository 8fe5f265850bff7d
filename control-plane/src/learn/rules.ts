// SPDX-License-Identifier: Apache-2.0
//
// Rules for what was seen in one direction: one for each workload container, one for each set of ports of the others.
import { grouped } from '../flows/group.js';
import { type Direction, MOST_NAMES } from '../policy/index.js';
import { summarize } from './networks.js';
import type { Peer, PeerDocument } from './peers.js';
import { type PortUse, type ProtocolDocument, portsKey, summarizePorts } from './ports.js';
import type { Seen } from './seen.js';
import { wildcards } from './wildcards.js';

export interface Generality {
  /** Networks of a rule, for each family. */
  readonly networks: number;
  /** Ports of a peer that are named one by one. */
  readonly ports: number;
  /** Names below one domain which become "*."; null: never. */
  readonly names: number | null;
}

export interface Evidence {
  readonly flows: number;
  readonly firstUs: number;
  readonly lastUs: number;
  /** Destinations (address and port) that the rule accepts and that nobody went to. */
  readonly unseen: number;
}

export interface LearnedRule {
  readonly document: {
    readonly name: string;
    readonly action: 'Accept';
    readonly to?: readonly PeerDocument[];
    readonly from?: readonly PeerDocument[];
    readonly protocols: readonly ProtocolDocument[];
  };
  readonly evidence: Evidence;
}

export interface PeerSeen {
  readonly seen: Seen;
  readonly peer: Peer;
}

const DNS_PORT = 53;
const isDns = ({ seen, peer }: PeerSeen): boolean =>
  seen.direction === 'egress' && peer.port === DNS_PORT && (seen.protocol === 6 || seen.protocol === 17);

/** Over both: a client that gets a truncated answer asks again over TCP (RFC 7766 section 5). */
const DNS_PORTS: readonly ProtocolDocument[] = (['udp', 'tcp'] as const).map(
  (name) => ({ [name]: { destinationPort: { number: DNS_PORT } } }) as ProtocolDocument,
);

function peerKey(peer: Peer): string {
  if (peer.kind === 'containers') return `containers ${JSON.stringify(peer.document)}`;
  if (peer.kind === 'service') return `service ${peer.namespace}/${peer.name}`;
  if (peer.kind === 'name') return `name ${peer.name}`;
  return peer.kind === 'entity' ? `entity ${peer.entity}` : `address ${peer.address}`;
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60)
    .replace(/-+$/, '') || 'peer';

function namePeers(all: readonly string[]): PeerDocument[] {
  const parts = Array.from({ length: Math.ceil(all.length / MOST_NAMES) }, (_, i) => i * MOST_NAMES);
  return parts.map((first) => ({ domainNames: all.slice(first, first + MOST_NAMES) }));
}

/** What one peer was used for. */
interface Used {
  readonly peer: Peer;
  readonly all: readonly PeerSeen[];
  readonly uses: readonly PortUse[];
}

function usedBy(all: readonly PeerSeen[]): Used[] {
  return [...grouped(all.map((it) => [peerKey(it.peer), it] as const)).values()].map((of) => ({
    peer: (of[0] as PeerSeen).peer,
    all: of,
    uses: of.map(({ seen, peer }) => ({ protocol: seen.protocol, port: peer.port })),
  }));
}

export class RuleWriter {
  readonly #direction: Direction;
  readonly #generality: Generality;
  readonly #taken: Set<string>;
  readonly #rules: LearnedRule[] = [];

  /** taken: names of the policy's other rules. */
  constructor(direction: Direction, generality: Generality, taken: Set<string>) {
    this.#direction = direction;
    this.#generality = generality;
    this.#taken = taken;
  }

  write(all: readonly PeerSeen[]): LearnedRule[] {
    const dns = all.filter(isDns);
    if (dns.length > 0) this.#writeDns(usedBy(dns));
    const used = usedBy(all.filter((it) => !isDns(it)));
    for (const it of used)
      if (it.peer.kind === 'containers') this.#add(it.peer.title, [{ containers: it.peer.document }], [it], 0, 1);
    for (const it of used)
      if (it.peer.kind === 'service') {
        const { name, namespace } = it.peer;
        this.#add(`service-${name}`, [{ services: [{ name, namespace }] }], [it], 0, 1);
      }
    this.#byPorts(used, 'entity', (group) => {
      const entities = [...new Set(group.flatMap(({ peer }) => (peer.kind === 'entity' ? [peer.entity] : [])))].sort();
      return { title: entities.join('-'), peers: [{ entities }], unseen: 0, size: 1 };
    });
    this.#byPorts(used, 'name', (group) => {
      const names = group.flatMap(({ peer }) => (peer.kind === 'name' ? [peer.name] : []));
      const domainNames = wildcards(names, this.#generality.names);
      const title = domainNames.length === 1 ? (domainNames[0] as string) : `names-${this.#portTitle(group)}`;
      return { title, peers: namePeers(domainNames), unseen: 0, size: names.length };
    });
    this.#byPorts(used, 'address', (group) => {
      const addresses = group.flatMap(({ peer }) => (peer.kind === 'address' ? [peer.address] : []));
      const { networks, unseen } = summarize(addresses, this.#generality.networks);
      const title = networks.length === 1 ? (networks[0] as string) : `addresses-${this.#portTitle(group)}`;
      return { title, peers: [{ networks }], unseen, size: addresses.length + unseen };
    });
    return this.#rules.sort((a, b) => (a.document.name < b.document.name ? -1 : 1));
  }

  #writeDns(used: readonly Used[]): void {
    const addresses = used.flatMap(({ peer }) => (peer.kind === 'address' ? [peer.address] : []));
    const { networks, unseen } = summarize(addresses, this.#generality.networks);
    const peers: PeerDocument[] = used.flatMap(({ peer }): PeerDocument[] => {
      if (peer.kind === 'containers') return [{ containers: peer.document }];
      if (peer.kind === 'service') return [{ services: [{ name: peer.name, namespace: peer.namespace }] }];
      if (peer.kind === 'entity') return [{ entities: [peer.entity] }];
      return peer.kind === 'name' ? [{ domainNames: [peer.name] }] : [];
    });
    if (networks.length > 0) peers.push({ networks });
    const asked = new Set(used.flatMap(({ uses }) => uses.map(({ protocol }) => protocol)));
    const size = used.length + unseen;
    this.#push('dns', peers, DNS_PORTS, used, size * DNS_PORTS.length - used.length * asked.size);
  }

  #byPorts(
    used: readonly Used[],
    kind: Peer['kind'],
    make: (group: readonly Used[]) => { title: string; peers: PeerDocument[]; unseen: number; size: number },
  ): void {
    const groups = grouped(used.filter(({ peer }) => peer.kind === kind).map((it) => [portsKey(it.uses), it] as const));
    for (const [, group] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { title, peers, unseen, size } = make(group);
      this.#add(title, peers, group, unseen, size);
    }
  }

  /** unseen: of addresses; size: addresses that the peers stand for. */
  #add(title: string, peers: readonly PeerDocument[], used: readonly Used[], unseen: number, size: number): void {
    const ports = summarizePorts(
      used.flatMap(({ uses }) => uses),
      this.#generality.ports,
    );
    const each = new Set(used.flatMap(({ uses }) => uses.map(({ protocol, port }) => `${protocol}/${port}`))).size;
    this.#push(title, peers, ports.protocols, used, unseen * each + size * ports.unseen);
  }

  #push(
    title: string,
    peers: readonly PeerDocument[],
    protocols: readonly ProtocolDocument[],
    used: readonly Used[],
    unseen: number,
  ): void {
    const all = used.flatMap((it) => it.all);
    this.#rules.push({
      document: {
        name: this.#nameFor(title),
        action: 'Accept',
        ...(this.#direction === 'egress' ? { to: peers } : { from: peers }),
        protocols,
      },
      evidence: {
        flows: all.reduce((sum, { seen }) => sum + seen.flows, 0),
        firstUs: all.reduce((least, { seen }) => Math.min(least, seen.firstUs), Number.POSITIVE_INFINITY),
        lastUs: all.reduce((most, { seen }) => Math.max(most, seen.lastUs), 0),
        unseen,
      },
    });
  }

  #portTitle(group: readonly Used[]): string {
    const ports = [...new Set(group.flatMap(({ uses }) => uses.map(({ port }) => port)))].sort((a, b) => a - b);
    return ports.slice(0, 3).join('-');
  }

  #nameFor(title: string): string {
    const plain = slug(this.#direction === 'ingress' ? `from-${title}` : title);
    let name = plain;
    for (let number = 2; this.#taken.has(name); number++) name = `${plain}-${number}`;
    this.#taken.add(name);
    return name;
  }
}
