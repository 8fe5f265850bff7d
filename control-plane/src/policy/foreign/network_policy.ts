// SPDX-License-Identifier: Apache-2.0
//
// To networking.k8s.io/v1 NetworkPolicy: accept only, pods only.
import { type Direction, isCluster, type Peer, type Policy, type Rule } from '../model.js';
import { contains } from '../network.js';
import {
  cidr,
  type Exported,
  isIcmp,
  type LabelSelector,
  Losses,
  labelSelector,
  namespaceSelector,
  podsOf,
  transportPorts,
} from './common.js';

interface KubernetesPeer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

function peers(peer: Peer, policy: Policy, rule: string, losses: Losses): KubernetesPeer[] {
  switch (peer.kind) {
    case 'containers': {
      const pods = podsOf(peer.selector, losses, rule);
      if (!pods) return [];
      const { namespaces } = peer.selector;
      const isOwn = namespaces?.length === 1 && namespaces[0] === policy.namespace;
      return [
        { podSelector: labelSelector(pods), ...(!isOwn && { namespaceSelector: namespaceSelector(namespaces) }) },
      ];
    }
    case 'networks':
      return peer.networks.map((network) => {
        const except = peer.except.filter((it) => contains(network, it)).map(cidr);
        return { ipBlock: { cidr: cidr(network), ...(except.length > 0 && { except }) } };
      });
    case 'services':
      losses.add(`services (${peer.services.map(({ name }) => name).join(', ')}) cannot be named: left out`, rule);
      return [];
    case 'domainNames':
      losses.add(`domain names (${peer.names.join(', ')}) cannot be said: left out`, rule);
      return [];
    default:
      losses.add(`entities (${peer.entities.join(', ')}) cannot be named: left out`, rule);
      return [];
  }
}

/** undefined: nothing of the rule can be said. */
function ruleOf(rule: Rule, direction: Direction, policy: Policy, losses: Losses): object | undefined {
  if (rule.action === 'Deny') {
    losses.add('it denies: there is no Deny, the rule is left out', rule.name);
    return undefined;
  }
  if (rule.ports.some(isIcmp)) losses.add('ICMP cannot be said: left out', rule.name);
  const ports = transportPorts(rule.ports).map(({ protocol, first, last, name }) => ({
    protocol,
    ...(name !== undefined && { port: name }),
    ...(first !== undefined && { port: first }),
    ...(last !== undefined && last !== first && { endPort: last }),
  }));
  const far = rule.peers.flatMap((peer) => peers(peer, policy, rule.name, losses));
  // An empty list would mean everybody, or every port.
  if (rule.peers.length > 0 && far.length === 0) return undefined;
  if (rule.ports.length > 0 && ports.length === 0) return undefined;
  return {
    ...(far.length > 0 && { [direction === 'egress' ? 'to' : 'from']: far }),
    ...(ports.length > 0 && { ports }),
  };
}

function documentOf(policy: Policy, losses: Losses): object | undefined {
  if (isCluster(policy)) {
    losses.add('a policy of the whole cluster cannot be said: left out; export it to ClusterNetworkPolicy');
    return undefined;
  }
  const pods = podsOf(policy.subject, losses);
  if (!pods) return undefined;
  if (policy.mode === 'Audit') losses.add('there is no Audit: it would be enforced');
  if (policy.loopback === 'Deny') losses.add('loopback cannot be denied');
  const directions = (['egress', 'ingress'] as const).filter((it) => policy.isolated[it]);
  const rules = (direction: Direction) =>
    policy[direction].flatMap((rule) => ruleOf(rule, direction, policy, losses) ?? []);
  const [egress, ingress] = [rules('egress'), rules('ingress')];
  if (directions.length === 0) return undefined;
  losses.add('a rule between two pods opens one end only: the other end needs its own when it is isolated');
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: policy.name, namespace: policy.namespace },
    spec: {
      podSelector: labelSelector(pods),
      policyTypes: directions.map((it) => (it === 'egress' ? 'Egress' : 'Ingress')),
      ...(policy.isolated.egress && egress.length > 0 && { egress }),
      ...(policy.isolated.ingress && ingress.length > 0 && { ingress }),
    },
  };
}

export function toNetworkPolicies(policies: readonly Policy[]): Exported {
  const each = policies.map((policy) => {
    const losses = new Losses(policy);
    return { document: documentOf(policy, losses), losses };
  });
  return { documents: each.flatMap((it) => it.document ?? []), losses: each.flatMap((it) => it.losses.all) };
}
