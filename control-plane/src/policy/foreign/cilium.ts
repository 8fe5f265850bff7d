// SPDX-License-Identifier: Apache-2.0
//
// To cilium.io/v2 CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy: pods, but names, entities and Deny, too.
import {
  type Direction,
  type Entity,
  ICMP,
  isCluster,
  type Peer,
  type Policy,
  type PortMatch,
  type Rule,
} from '../model.js';
import { contains } from '../network.js';
import { cidr, type Exported, isIcmp, Losses, labelSelector, podsOf, transportPorts } from './common.js';

const ENTITIES: Readonly<Record<Entity, string>> = {
  Node: 'host',
  Cluster: 'cluster',
  World: 'world',
  APIServer: 'kube-apiserver',
};
const NAMESPACE = 'k8s:io.kubernetes.pod.namespace';
const ALL_TYPES = 255;

type Section = Readonly<Record<string, unknown>>;

/** Each peer is a section of its own: within one, Cilium asks for all parts. */
function sections(peer: Peer, direction: Direction, rule: string, losses: Losses): Section[] {
  const [endpoints, networks, entities] =
    direction === 'egress'
      ? ['toEndpoints', 'toCIDRSet', 'toEntities']
      : ['fromEndpoints', 'fromCIDRSet', 'fromEntities'];
  switch (peer.kind) {
    case 'containers': {
      const pods = podsOf(peer.selector, losses, rule);
      if (!pods) return [];
      const { namespaces } = peer.selector;
      const places =
        namespaces === null
          ? [{ key: NAMESPACE, operator: 'Exists' as const, values: [] }]
          : [{ key: NAMESPACE, operator: 'In' as const, values: namespaces }];
      return [{ [endpoints as string]: [labelSelector([...pods, ...places])] }];
    }
    case 'networks':
      return [
        {
          [networks as string]: peer.networks.map((network) => {
            const except = peer.except.filter((it) => contains(network, it)).map(cidr);
            return { cidr: cidr(network), ...(except.length > 0 && { except }) };
          }),
        },
      ];
    case 'services':
      return [
        {
          toServices: peer.services.map(({ name, namespace }) => ({ k8sService: { serviceName: name, namespace } })),
        },
      ];
    case 'domainNames':
      losses.add('domain names need a rule that sends DNS through the proxy of Cilium', rule);
      return [
        {
          toFQDNs: peer.names.map((name) =>
            name.startsWith('*.') ? { matchPattern: `*${name}` } : { matchName: name },
          ),
        },
      ];
    default:
      return [{ [entities as string]: peer.entities.map((it) => ENTITIES[it]) }];
  }
}

function icmps(ports: readonly PortMatch[]): object[] {
  const fields = ports.filter(isIcmp).flatMap((it) => {
    if ('portName' in it) return [];
    const family = it.protocol === ICMP ? 'IPv4' : 'IPv6';
    const types = it.first === it.last ? [it.first] : Array.from({ length: ALL_TYPES + 1 }, (_, type) => type);
    return types.map((type) => ({ family, type }));
  });
  // At most 40 fields in one list.
  return Array.from({ length: Math.ceil(fields.length / 40) }, (_, i) => ({
    fields: fields.slice(40 * i, 40 * i + 40),
  }));
}

function rulesOf(rule: Rule, direction: Direction, losses: Losses): Section[] {
  const far = rule.peers.flatMap((peer) => sections(peer, direction, rule.name, losses));
  if (rule.peers.length > 0 && far.length === 0) return [];
  const ports = transportPorts(rule.ports).map(({ protocol, first, last, name }) => ({
    port: name ?? String(first ?? 0),
    ...(last !== undefined && last !== first && { endPort: last }),
    protocol,
  }));
  const icmp = icmps(rule.ports);
  if (rule.ports.length > 0 && ports.length === 0 && icmp.length === 0) return [];
  const everybody = { [direction === 'egress' ? 'toEntities' : 'fromEntities']: ['all'] };
  return (rule.peers.length === 0 ? [everybody] : far).flatMap((section) => [
    ...(ports.length > 0 ? [{ ...section, toPorts: [{ ports }] }] : []),
    ...(icmp.length > 0 ? [{ ...section, icmps: icmp }] : []),
    ...(rule.ports.length === 0 ? [section] : []),
  ]);
}

function documentOf(policy: Policy, losses: Losses): object | undefined {
  const pods = podsOf(policy.subject, losses);
  if (!pods) return undefined;
  const cluster = isCluster(policy);
  if (policy.mode === 'Audit') losses.add('Audit is a setting of the whole of Cilium: it would be enforced');
  if (policy.loopback === 'Deny') losses.add('loopback cannot be denied');
  losses.add('a rule between two pods opens one end only: the other end needs its own when it is isolated');
  const { namespaces } = policy.subject;
  const where = cluster && namespaces !== null ? [{ key: NAMESPACE, operator: 'In' as const, values: namespaces }] : [];
  const of = (direction: Direction, action: Rule['action']) =>
    policy[direction].filter((it) => it.action === action).flatMap((it) => rulesOf(it, direction, losses));
  const lists = {
    egress: of('egress', 'Accept'),
    egressDeny: of('egress', 'Deny'),
    ingress: of('ingress', 'Accept'),
    ingressDeny: of('ingress', 'Deny'),
  };
  return {
    apiVersion: 'cilium.io/v2',
    kind: cluster ? 'CiliumClusterwideNetworkPolicy' : 'CiliumNetworkPolicy',
    metadata: { name: policy.name, ...(!cluster && { namespace: policy.namespace }) },
    spec: {
      endpointSelector: labelSelector([...pods, ...where]),
      enableDefaultDeny: { egress: policy.isolated.egress, ingress: policy.isolated.ingress },
      ...Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)),
    },
  };
}

export function toCiliumPolicies(policies: readonly Policy[]): Exported {
  const each = policies.map((policy) => {
    const losses = new Losses(policy);
    return { document: documentOf(policy, losses), losses };
  });
  return { documents: each.flatMap((it) => it.document ?? []), losses: each.flatMap((it) => it.losses.all) };
}
