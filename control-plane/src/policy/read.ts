// SPDX-License-Identifier: Apache-2.0
//
// Checked documents to the model.
import type { Observation, Peer, Policy, Rule, Selector } from './model.js';
import type { ObservationDocument, PolicyDocument } from './schema.js';
import type { ContainersPeerDocument, PeerDocument, SubjectDocument } from './schema_peers.js';

type Who = Pick<SubjectDocument, 'pods' | 'images'>;

function toSelector(
  who: Who,
  containers: readonly string[] | undefined,
  namespaces: readonly string[] | null,
): Selector {
  const labels = Object.entries(who.pods?.matchLabels ?? {}).map(
    ([key, value]) => ({ key, operator: 'In', values: [value] }) as const,
  );
  return {
    namespaces,
    podLabels: [...labels, ...(who.pods?.matchExpressions ?? [])],
    podNames: who.pods?.names ?? [],
    containers: containers ?? [],
    images: who.images ?? [],
  };
}

/** `namespace`: of the policy, null: of a cluster policy. "namespaces: {}" means all in both kinds. */
function toContainers(given: ContainersPeerDocument, namespace: string | null): Peer {
  const own = namespace === null ? null : [namespace];
  const namespaces = given.namespaces ? (given.namespaces.names ?? null) : own;
  return { kind: 'containers', selector: toSelector(given, given.names, namespaces) };
}

function toPeer(given: PeerDocument, namespace: string | null): Peer {
  if (given.networks) return { kind: 'networks', networks: given.networks, except: given.except ?? [] };
  if (given.domainNames) return { kind: 'domainNames', names: given.domainNames };
  if (given.entities) return { kind: 'entities', entities: given.entities };
  if (given.services) {
    const services = given.services.map((it) => ({ name: it.name, namespace: it.namespace ?? namespace ?? '' }));
    return { kind: 'services', services };
  }
  return toContainers(given.containers ?? {}, namespace);
}

function toRule(
  given: PolicyDocument['spec']['egress'][number] | PolicyDocument['spec']['ingress'][number],
  namespace: string | null,
): Rule {
  const peers = ('to' in given ? given.to : 'from' in given ? given.from : undefined) ?? [];
  return {
    name: given.name,
    action: given.action,
    peers: peers.map((peer) => toPeer(peer, namespace)),
    ports: given.protocols ?? [],
  };
}

/** Rules that accept isolate the direction that they are written in. */
function isolates(rules: readonly Rule[], isolate: readonly string[] | undefined, word: string): boolean {
  return (isolate?.includes(word) ?? false) || rules.some((rule) => rule.action === 'Accept');
}

export function toPolicy({ kind, metadata, spec }: PolicyDocument): Policy {
  const cluster = kind === 'ClusterContainerPolicy';
  const namespace = cluster ? null : (metadata.namespace ?? '');
  const egress = spec.egress.map((rule) => toRule(rule, namespace));
  const ingress = spec.ingress.map((rule) => toRule(rule, namespace));
  const subject: SubjectDocument = spec.subject ?? {};
  const namespaces = namespace === null ? (subject.namespaces?.names ?? null) : [namespace];
  return {
    kind,
    namespace: namespace ?? '',
    name: metadata.name,
    mode: spec.mode,
    isolated: {
      egress: isolates(egress, spec.isolate, 'Egress'),
      ingress: isolates(ingress, spec.isolate, 'Ingress'),
    },
    loopback: spec.loopback,
    rawSockets: spec.rawSockets,
    subject: toSelector(subject, subject.containers, namespaces),
    egress,
    ingress,
  };
}

export function toObservation({ metadata, spec }: ObservationDocument): Observation {
  const { names, payload, subject = {} } = spec;
  const { namespace, name } = metadata;
  return { namespace, name, subject: toSelector(subject, subject.containers, [namespace]), names, payload };
}
