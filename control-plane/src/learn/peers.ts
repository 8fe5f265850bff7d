// SPDX-License-Identifier: Apache-2.0
//
// Who is meant by the far side of what was seen: containers before services, services before names, names before addresses.
import { isDomainName, type Network, parseNetwork, type Service } from '../policy/index.js';
import type { Labelling } from './labels.js';
import type { Seen } from './seen.js';

/** As documents have it. */
export type PeerDocument =
  | { readonly containers: ContainersDocument }
  | { readonly services: readonly { readonly name: string; readonly namespace: string }[] }
  | { readonly domainNames: readonly string[] }
  | { readonly networks: readonly string[] }
  | { readonly entities: readonly string[] };

interface ContainersDocument {
  readonly namespaces?: { readonly names: readonly string[] };
  readonly pods?: { readonly matchLabels?: Readonly<Record<string, string>>; readonly names?: readonly string[] };
  readonly names?: readonly string[];
}

/** One peer of one flow, before equal ones are put together. */
export type Peer =
  | {
      readonly kind: 'containers';
      readonly title: string;
      readonly document: ContainersDocument;
      readonly port: number;
    }
  | { readonly kind: 'service'; readonly name: string; readonly namespace: string; readonly port: number }
  | { readonly kind: 'name'; readonly name: string; readonly port: number }
  | { readonly kind: 'entity'; readonly entity: 'Node' | 'APIServer'; readonly port: number }
  | { readonly kind: 'address'; readonly address: string; readonly port: number };

export interface PeerContext {
  readonly labelling: Labelling;
  readonly services: readonly Service[];
  readonly apiServer: readonly Network[];
}

function containersPeer({ own, peer }: Seen, port: number, { labelling }: PeerContext): Peer | undefined {
  // A node is no container, and a pod in the network of its host has that host's address.
  if (!peer || (peer.pod === '' && peer.container === '')) return undefined;
  const { matchLabels, names } = labelling.of(peer);
  const pods = Object.keys(matchLabels).length > 0 ? { matchLabels } : names.length > 0 ? { names } : undefined;
  const document = {
    ...(peer.namespace !== own.namespace && { namespaces: { names: [peer.namespace] } }),
    ...(pods && { pods }),
    ...(peer.container !== '' && { names: [peer.container] }),
  };
  if (Object.keys(document).length === 0) return undefined;
  const pod = Object.values(matchLabels)[0] ?? names[0] ?? '';
  const elsewhere = peer.namespace === own.namespace ? '' : peer.namespace;
  const title = [elsewhere, pod, peer.container === pod ? '' : peer.container].filter((it) => it !== '').join('-');
  return { kind: 'containers', title, document, port };
}

/** By which a rule can name the far side; what containers look up is their own choice, and not all of it is a name. */
export function nameOf({ name, direction }: Pick<Seen, 'name' | 'direction'>): string | undefined {
  const lower = name?.toLowerCase().replace(/\.$/, '') ?? '';
  return direction === 'egress' && isDomainName(lower) ? lower : undefined;
}

function addressPeer(seen: Seen, context: PeerContext): Peer {
  const { address, port, own, peer, direction } = seen;
  const network = parseNetwork(address);
  const bits = typeof network === 'string' ? undefined : network;
  if (bits && context.apiServer.some((it) => within(it, bits))) return { kind: 'entity', entity: 'APIServer', port };
  if (peer && peer.pod === '' && peer.container === '' && peer.node === own.node && direction === 'egress')
    return { kind: 'entity', entity: 'Node', port };
  const name = nameOf(seen);
  return name === undefined ? { kind: 'address', address, port } : { kind: 'name', name, port };
}

const within = (outer: Network, inner: Network): boolean =>
  outer.prefix <= inner.prefix &&
  inner.address >> BigInt(128 - outer.prefix) === outer.address >> BigInt(128 - outer.prefix);

/**
 * A rule for a service opens nothing at the backend, which judges the container as well; one for the backend's containers opens both, and
 * the service before them where it is known. Of an address that is translated and of no known service, both have to be named.
 */
export function peersOf(seen: Seen, context: PeerContext): Peer[] {
  const { backend, address, port } = seen;
  const service = seen.direction === 'egress' && context.services.find((it) => it.addresses.includes(address));
  const translated = backend !== null && backend.address !== address;
  const containers = containersPeer(seen, translated ? backend.port : port, context);
  if (containers && (service || !translated)) return [containers];
  if (service) return [{ kind: 'service', namespace: service.namespace, name: service.name, port }];
  if (!containers) return [addressPeer(seen, context)];
  return [containers, addressPeer({ ...seen, peer: null, name: null }, context)];
}
