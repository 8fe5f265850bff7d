// SPDX-License-Identifier: Apache-2.0
//
// The parts of documents that say who is meant: selectors, peers and ports.
import { z } from 'zod';
import { ICMP, ICMPV6, type Network, type PortMatch, TCP, UDP } from './model.js';
import { isDomainName, LONGEST_DOMAIN } from './names.js';
import { contains, parseNetwork } from './network.js';

/** Of a list. */
export const MOST_NAMES = 1000;
const MOST_LABELS = 100;
const MOST_PEERS = 1000;
const MOST_PROTOCOLS = 1000;
const MOST_NETWORKS = 100_000;
const LONGEST_LABEL = 63;

export const name = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/,
    'must be letters, digits, ".", "_" and "-", and begin and end with a letter or digit',
  );

/** '' is outside Kubernetes. */
export const namespaceName = z
  .string()
  .max(253)
  .regex(
    /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/,
    'must be letters, digits, ".", "_" and "-", and begin and end with a letter or digit',
  );

/** An empty list reads like "none" and like "all"; it is neither. */
export function listOf<T extends z.ZodType>(item: T, most: number, meaning = 'all') {
  return z
    .array(item)
    .min(1, `is empty; leave it out to mean ${meaning}`)
    .max(most, `has more than ${most.toLocaleString('en')} entries; split it`);
}

const names = listOf(z.string().min(1).max(253), MOST_NAMES);
const namespaces = z.strictObject({
  names: listOf(namespaceName, MOST_NAMES, 'all namespaces').optional(),
});
const image = z.string().min(1).max(500).regex(/^\S+$/, 'must be a reference of an image, without blanks');
const images = listOf(image, MOST_NAMES);

const requirement = z
  .strictObject({
    key: z.string().min(1).max(317),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string().max(LONGEST_LABEL)).max(MOST_NAMES).default([]),
  })
  .refine((given) => (given.operator === 'In' || given.operator === 'NotIn') === given.values.length > 0, {
    message: 'In and NotIn need values, Exists and DoesNotExist have none',
  });

const pods = z.strictObject({
  matchLabels: z
    .record(z.string().min(1).max(317), z.string().max(LONGEST_LABEL))
    .refine((given) => Object.keys(given).length <= MOST_LABELS, `has more than ${MOST_LABELS} labels`)
    .optional(),
  matchExpressions: listOf(requirement, MOST_LABELS).optional(),
  names: names.optional(),
});

const who = { pods: pods.optional(), images: images.optional() };
export const subject = z.strictObject({ ...who, containers: names.optional() });
export const clusterSubject = z.strictObject({
  ...who,
  containers: names.optional(),
  namespaces: namespaces.optional(),
});
const containersPeer = z.strictObject({ ...who, names: names.optional(), namespaces: namespaces.optional() });

const network = z.string().transform((text, context): Network => {
  const parsed = parseNetwork(text);
  if (typeof parsed !== 'string') return parsed;
  context.addIssue({ code: 'custom', message: parsed });
  return z.NEVER;
});

type Indexed = { readonly entry: Network; readonly index: number };

const networkList = listOf(network, MOST_NETWORKS, 'every address').superRefine((list, context) => {
  const sorted = list
    .map((entry, index) => ({ entry, index }))
    .filter(({ entry }) => entry !== undefined)
    .sort((a, b) => a.entry.prefix - b.entry.prefix || (a.entry.address < b.entry.address ? -1 : 1));
  for (const { inner, outer, index } of findOverlaps(sorted).slice(0, 10)) {
    const what =
      inner.prefix === outer.prefix ? `"${inner.text}" is listed twice` : `"${inner.text}" lies within "${outer.text}"`;
    context.addIssue({ code: 'custom', path: [index], message: `${what}; remove one of them` });
  }
});

function findOverlaps(sorted: readonly Indexed[]) {
  const found: { inner: Network; outer: Network; index: number }[] = [];
  const byPrefix = new Map<number, Map<bigint, Network>>();
  for (const { entry, index } of sorted) {
    for (const [prefix, seen] of byPrefix) {
      const outer = seen.get((entry.address >> BigInt(128 - prefix)) << BigInt(128 - prefix));
      if (outer && contains(outer, entry)) found.push({ inner: entry, outer, index });
    }
    const same = byPrefix.get(entry.prefix) ?? new Map<bigint, Network>();
    if (!same.has(entry.address)) same.set(entry.address, entry);
    byPrefix.set(entry.prefix, same);
  }
  return found;
}

const domainName = z
  .string()
  .max(LONGEST_DOMAIN)
  .transform((text) => text.toLowerCase().replace(/\.$/, ''))
  .refine(isDomainName, {
    message: 'is no domain name; write "api.example.com", or "*.example.com" for all names below it',
  });

/** Parts of a peer, of which each has exactly one; except belongs to networks. */
export const PEER_PARTS = ['containers', 'networks', 'services', 'domainNames', 'entities'] as const;

const peerFields = {
  containers: containersPeer.optional(),
  networks: networkList.optional(),
  except: networkList.optional(),
  services: listOf(z.strictObject({ name, namespace: namespaceName.optional() }), MOST_NAMES).optional(),
  domainNames: listOf(domainName, MOST_NAMES).optional(),
  entities: listOf(z.enum(['Node', 'Cluster', 'World', 'APIServer']), 4).optional(),
};
type PeerFields = z.output<z.ZodObject<typeof peerFields>>;

export function checkPeer(given: PeerFields, context: z.RefinementCtx): void {
  const parts = PEER_PARTS.filter((part) => given[part] !== undefined);
  const all = PEER_PARTS.map((part) => `"${part}"`).join(', ');
  if (parts.length !== 1)
    context.addIssue({ code: 'custom', message: `needs exactly one of ${all}, has ${parts.length || 'none'}` });
  if (given.except && !given.networks)
    context.addIssue({
      code: 'custom',
      path: ['except'],
      message: 'takes addresses out of "networks", which are not there',
    });
  const outside = (given.except ?? []).map((entry, index) => ({ entry, index }));
  for (const { entry, index } of outside) {
    if (!given.networks || given.networks.some((outer) => contains(outer, entry))) continue;
    const message = `"${entry.text}" lies in none of the networks that it is an exception of`;
    context.addIssue({ code: 'custom', path: ['except', index], message });
  }
}

// What is malformed inside is told by itself; checks of the whole would only repeat it.
export const peers = listOf(z.strictObject(peerFields).superRefine(checkPeer), MOST_PEERS, 'everything');

const port = z.number().int().min(1, 'must be a port from 1 to 65535').max(65535, 'must be a port from 1 to 65535');
const range = z
  .strictObject({ start: port, end: port })
  .refine((given) => given.start <= given.end, { message: 'starts after its end' });
const NO_PORT_NAME = 'is no name of a port: at most 15 of a-z, 0-9 and "-", with a letter';
const portName = z
  .string()
  .max(15, NO_PORT_NAME)
  .regex(/[a-z]/, { message: NO_PORT_NAME, abort: true })
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, NO_PORT_NAME);
const destinationPort = z
  .strictObject({ number: port.optional(), range: range.optional(), name: portName.optional() })
  .refine((given) => [given.number, given.range, given.name].filter((it) => it !== undefined).length === 1, {
    message: 'needs exactly one of "number", "range" and "name"',
  });
const transport = z.strictObject({ destinationPort: destinationPort.optional() });
const icmpType = z.number().int().min(0, 'must be a type from 0 to 255').max(255, 'must be a type from 0 to 255');

const protocol = z
  .strictObject({
    tcp: transport.optional(),
    udp: transport.optional(),
    icmp: z.strictObject({ type: icmpType.optional() }).optional(),
  })
  .refine((given) => [given.tcp, given.udp, given.icmp].filter((it) => it !== undefined).length === 1, {
    message: 'needs exactly one of "tcp", "udp" and "icmp"',
  })
  .transform(({ tcp, udp, icmp }): PortMatch[] => {
    if (icmp) {
      const types = { first: icmp.type ?? 0, last: icmp.type ?? 65535 };
      return [ICMP, ICMPV6].map((number) => ({ protocol: number, ...types }));
    }
    const number = tcp ? TCP : UDP;
    const given = (tcp ?? udp)?.destinationPort;
    if (given?.name !== undefined) return [{ protocol: number, portName: given.name }];
    const bounds = given?.range ?? { start: given?.number ?? 0, end: given?.number ?? 65535 };
    return [{ protocol: number, first: bounds.start, last: bounds.end }];
  });

export const protocols = listOf(protocol, MOST_PROTOCOLS, 'every protocol and port').transform((list) => list.flat());
export type PeerDocument = z.output<typeof peers>[number];
export type SubjectDocument = z.output<typeof clusterSubject>;
export type ContainersPeerDocument = z.output<typeof containersPeer>;
