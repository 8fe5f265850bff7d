// SPDX-License-Identifier: Apache-2.0
//
// To policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy, where what comes first decides. Denies therefore come before accepts, and
// isolation last; it overrides the NetworkPolicies of namespaces, as cluster policies do here.
import { type Direction, isCluster, type Peer, type Policy, type Rule } from '../model.js';
import {
  cidr,
  type Exported,
  isIcmp,
  Losses,
  labelSelector,
  namespaceSelector,
  podsOf,
  transportPorts,
} from './common.js';

/** Of the tier Admin; smaller ones come first. */
const PRIORITIES = { Deny: 100, Accept: 200, isolate: 300 } as const;
/** The API takes so many of each. */
const MOST_RULES = 25;
const MOST_PEERS = 25;
const MOST_ENTRIES = 25;

/** A peer with a longer list is several. */
function parts<T>(list: readonly T[]): T[][] {
  const count = Math.ceil(list.length / MOST_ENTRIES);
  return Array.from({ length: count }, (_, i) => list.slice(i * MOST_ENTRIES, (i + 1) * MOST_ENTRIES));
}

function peers(peer: Peer, direction: Direction, rule: string, losses: Losses): object[] {
  switch (peer.kind) {
    case 'containers': {
      const pods = podsOf(peer.selector, losses, rule);
      if (!pods) return [];
      const namespaces = namespaceSelector(peer.selector.namespaces);
      return [
        pods.length === 0
          ? { namespaces }
          : { pods: { namespaceSelector: namespaces, podSelector: labelSelector(pods) } },
      ];
    }
    case 'networks':
      if (direction === 'ingress') {
        losses.add('networks cannot be said of who comes in: left out', rule);
        return [];
      }
      if (peer.except.length > 0) {
        losses.add('exceptions of networks cannot be said: left out', rule);
        return [];
      }
      return parts(peer.networks.map(cidr)).map((networks) => ({ networks }));
    case 'domainNames':
      return parts(peer.names).map((domainNames) => ({ domainNames }));
    case 'services':
      losses.add(`services (${peer.services.map(({ name }) => name).join(', ')}) cannot be named: left out`, rule);
      return [];
    default:
      losses.add(`entities (${peer.entities.join(', ')}) cannot be named: left out`, rule);
      return [];
  }
}

function ruleOf(rule: Rule, direction: Direction, losses: Losses): object | undefined {
  if (rule.ports.some(isIcmp)) losses.add('ICMP cannot be said: left out', rule.name);
  const protocols = transportPorts(rule.ports).flatMap(({ protocol, first, last, name }) => {
    const key = protocol.toLowerCase();
    if (name !== undefined) {
      losses.add('ports by name cannot be said: left out', rule.name);
      return [];
    }
    if (first === undefined) return [{ [key]: {} }];
    const destinationPort = first === last ? { number: first } : { range: { start: first, end: last } };
    return [{ [key]: { destinationPort } }];
  });
  const everybody =
    direction === 'egress' ? [{ namespaces: {} }, { networks: ['0.0.0.0/0', '::/0'] }] : [{ namespaces: {} }];
  const far = rule.peers.length === 0 ? everybody : rule.peers.flatMap((it) => peers(it, direction, rule.name, losses));
  if (rule.peers.length === 0 && direction === 'ingress')
    losses.add('only pods are meant, not who comes from outside', rule.name);
  if (far.length === 0 || (rule.ports.length > 0 && protocols.length === 0)) return undefined;
  if (far.length > MOST_PEERS) {
    losses.add(
      `it has more than ${MOST_PEERS} peers, or ${MOST_PEERS * MOST_ENTRIES} names or networks: left out`,
      rule.name,
    );
    return undefined;
  }
  return {
    name: rule.name,
    action: rule.action,
    [direction === 'egress' ? 'to' : 'from']: far,
    ...(protocols.length > 0 && { protocols }),
  };
}

function documentsOf(policy: Policy, losses: Losses): object[] {
  const pods = podsOf(policy.subject, losses);
  if (!pods) return [];
  if (!isCluster(policy))
    losses.add('it would go before the policies of all namespaces: NetworkPolicy is its usual form');
  if (policy.mode === 'Audit') losses.add('there is no Audit: it would be enforced');
  if (policy.loopback === 'Deny') losses.add('loopback cannot be denied');
  const namespaces = namespaceSelector(policy.subject.namespaces);
  const subject =
    pods.length === 0 ? { namespaces } : { pods: { namespaceSelector: namespaces, podSelector: labelSelector(pods) } };
  const document = (part: keyof typeof PRIORITIES, egress: object[], ingress: object[]) =>
    egress.length + ingress.length === 0
      ? []
      : [
          {
            apiVersion: 'policy.networking.k8s.io/v1alpha2',
            kind: 'ClusterNetworkPolicy',
            metadata: {
              name: `${[policy.namespace, policy.name].filter((it) => it !== '').join('-')}-${part.toLowerCase()}`,
            },
            spec: {
              tier: 'Admin',
              priority: PRIORITIES[part],
              subject,
              ...(egress.length > 0 && { egress }),
              ...(ingress.length > 0 && { ingress }),
            },
          },
        ];
  const rules = (direction: Direction, action: Rule['action']) => {
    const all = policy[direction]
      .filter((it) => it.action === action)
      .flatMap((it) => ruleOf(it, direction, losses) ?? []);
    if (all.length > MOST_RULES)
      losses.add(`it has more than ${MOST_RULES} rules for ${direction}: those after these are left out`);
    return all.slice(0, MOST_RULES);
  };
  const nobody = (direction: Direction) =>
    policy.isolated[direction]
      ? [
          {
            name: 'default-deny',
            action: 'Deny',
            ...(direction === 'egress'
              ? { to: [{ namespaces: {} }, { networks: ['0.0.0.0/0', '::/0'] }] }
              : { from: [{ namespaces: {} }] }),
          },
        ]
      : [];
  if (policy.isolated.ingress) losses.add('isolation is from pods only: who comes from outside cannot be named');
  return [
    ...document('Deny', rules('egress', 'Deny'), rules('ingress', 'Deny')),
    ...document('Accept', rules('egress', 'Accept'), rules('ingress', 'Accept')),
    ...document('isolate', nobody('egress'), nobody('ingress')),
  ];
}

export function toClusterNetworkPolicies(policies: readonly Policy[]): Exported {
  const each = policies.map((policy) => {
    const losses = new Losses(policy);
    return { documents: documentsOf(policy, losses), losses };
  });
  return { documents: each.flatMap((it) => it.documents), losses: each.flatMap((it) => it.losses.all) };
}
