// SPDX-License-Identifier: Apache-2.0
//
// From networking.k8s.io/v1 NetworkPolicy. What cannot be said is left out, never made wider, and listed.
import { type Document, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { Problem } from '../model.js';
import { MOST_NAMES } from '../schema_peers.js';
import { type Exported, type LabelSelector, type Loss, NAMESPACE_LABEL } from './common.js';

const expression = z.object({
  key: z.string(),
  operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
  values: z.array(z.string()).optional(),
});
const selector = z.object({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z.array(expression).optional(),
});
const peer = z.object({
  podSelector: selector.optional(),
  namespaceSelector: selector.optional(),
  ipBlock: z.object({ cidr: z.string(), except: z.array(z.string()).optional() }).optional(),
});
const port = z.object({
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).default('TCP'),
  port: z.union([z.number(), z.string()]).optional(),
  endPort: z.number().optional(),
});
const ports = z.array(port).optional();
const networkPolicy = z.object({
  apiVersion: z.literal('networking.k8s.io/v1'),
  kind: z.literal('NetworkPolicy'),
  metadata: z.object({ name: z.string(), namespace: z.string().default('default') }),
  spec: z.object({
    podSelector: selector.default({}),
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])).optional(),
    ingress: z.array(z.object({ from: z.array(peer).optional(), ports })).optional(),
    egress: z.array(z.object({ to: z.array(peer).optional(), ports })).optional(),
  }),
});
type NetworkPolicy = z.output<typeof networkPolicy>;
type Given = { readonly peers: readonly z.output<typeof peer>[]; readonly ports: z.output<typeof ports> };

/** The names of the namespaces that have these labels now. */
export type NamespacesOf = (selector: LabelSelector) => readonly string[];

export interface Imported extends Exported {
  readonly problems: readonly Problem[];
}

class Importer {
  readonly losses: Loss[] = [];
  readonly #where: string;
  readonly #namespacesOf: NamespacesOf | undefined;

  constructor(where: string, namespacesOf: NamespacesOf | undefined) {
    this.#where = where;
    this.#namespacesOf = namespacesOf;
  }

  #lose(rule: string, what: string): void {
    this.losses.push({ where: `${this.#where}:${rule}`, what });
  }

  /** undefined: namespaces are known by their names alone here. */
  #namespaces(selector: LabelSelector): { names?: readonly string[] } | undefined {
    const { matchLabels = {}, matchExpressions = [] } = selector;
    const labels = Object.entries(matchLabels);
    if (labels.length === 0 && matchExpressions.length === 0) return {};
    const [label] = labels;
    if (labels.length === 1 && matchExpressions.length === 0 && label?.[0] === NAMESPACE_LABEL)
      return { names: [label[1]] };
    const [one] = matchExpressions;
    if (labels.length === 0 && matchExpressions.length === 1 && one?.key === NAMESPACE_LABEL && one.operator === 'In')
      return { names: one.values ?? [] };
    return this.#namespacesOf && { names: this.#namespacesOf(selector) };
  }

  #peer({ podSelector, namespaceSelector, ipBlock }: z.output<typeof peer>, rule: string): object[] {
    if (ipBlock) {
      const { cidr, except = [] } = ipBlock;
      return [{ networks: [cidr], ...(except.length > 0 && { except }) }];
    }
    const namespaces = namespaceSelector && this.#namespaces(namespaceSelector as LabelSelector);
    if (namespaceSelector && !namespaces) {
      this.#lose(rule, `namespaces are selected by other labels than ${NAMESPACE_LABEL}: this peer is left out`);
      return [];
    }
    const pods = podSelector && Object.values(podSelector).some((it) => it !== undefined) ? { pods: podSelector } : {};
    if (!namespaces?.names) return [{ containers: { ...(namespaces && { namespaces }), ...pods } }];
    return chunks(namespaces.names, MOST_NAMES).map((names) => ({ containers: { namespaces: { names }, ...pods } }));
  }

  rule(name: string, key: 'to' | 'from', { peers, ports: given = [] }: Given): object[] {
    const far = peers.flatMap((it) => this.#peer(it, name));
    if (peers.length > 0 && far.length === 0) return [];
    const isAddressed = far.length === 0 || far.some((it) => 'networks' in it);
    const protocols = given.flatMap((it): object[] => {
      const key2 = it.protocol.toLowerCase();
      if (it.protocol === 'SCTP') this.#lose(name, 'SCTP cannot be said: left out');
      else if (typeof it.port === 'string' && key === 'to' && isAddressed)
        this.#lose(name, `the port ${it.port} has a name, which addresses do not have: left out`);
      else if (it.port === undefined) return [{ [key2]: {} }];
      else if (typeof it.port === 'string') return [{ [key2]: { destinationPort: { name: it.port } } }];
      else if (it.endPort === undefined) return [{ [key2]: { destinationPort: { number: it.port } } }];
      else return [{ [key2]: { destinationPort: { range: { start: it.port, end: it.endPort } } } }];
      return [];
    });
    if (given.length > 0 && protocols.length === 0) return [];
    return [
      { name, action: 'Accept', ...(far.length > 0 && { [key]: far }), ...(protocols.length > 0 && { protocols }) },
    ];
  }
}

/** None of an empty list: who selects no namespace means nobody. */
function chunks<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, index) =>
    list.slice(index * size, (index + 1) * size),
  );
}

function toDocument({ metadata, spec }: NetworkPolicy, namespacesOf?: NamespacesOf) {
  const importer = new Importer(`${metadata.namespace}/${metadata.name}`, namespacesOf);
  const types = spec.policyTypes ?? ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
  const ingress = (spec.ingress ?? []).flatMap((it, index) =>
    importer.rule(`ingress-${index + 1}`, 'from', { peers: it.from ?? [], ports: it.ports }),
  );
  const egress = (spec.egress ?? []).flatMap((it, index) =>
    importer.rule(`egress-${index + 1}`, 'to', { peers: it.to ?? [], ports: it.ports }),
  );
  const pods = Object.values(spec.podSelector).some((it) => it !== undefined) ? { pods: spec.podSelector } : {};
  const document = {
    apiVersion: 'cellwall.dev/v1alpha1',
    kind: 'ContainerPolicy',
    metadata,
    spec: {
      subject: pods,
      isolate: ['Egress', 'Ingress'].filter((it) => types.includes(it)),
      ...(types.includes('Egress') && egress.length > 0 && { egress }),
      ...(types.includes('Ingress') && ingress.length > 0 && { ingress }),
    },
  };
  return { document, losses: importer.losses };
}

/** Of one object as the API server gives it. */
export function fromNetworkPolicy(object: unknown, namespacesOf: NamespacesOf): Imported {
  const read = networkPolicy.safeParse(object);
  if (!read.success)
    return {
      documents: [],
      losses: [],
      problems: read.error.issues.map(({ path, message }) => ({ where: path.join('.'), message })),
    };
  const { document, losses } = toDocument(read.data, namespacesOf);
  return { documents: [document], losses, problems: [] };
}

/** Of a text with one or more NetworkPolicies; `source` is its name in problems. With problems, nothing should be used. */
export function fromNetworkPolicies(text: string, source: string): Imported {
  const documents: object[] = [];
  const losses: Loss[] = [];
  const problems: Problem[] = [];
  const given = parseAllDocuments(text) as Document[];
  given.forEach((document, index) => {
    const where = given.length > 1 ? `${source} document ${index + 1}` : source;
    for (const { message } of document.errors) problems.push({ where, message });
    if (document.errors.length > 0 || document.contents === null) return;
    const read = networkPolicy.safeParse(document.toJS({ maxAliasCount: 100 }));
    if (!read.success) {
      for (const { path, message } of read.error.issues)
        problems.push({ where: `${where} ${path.join('.')}`, message });
      return;
    }
    const done = toDocument(read.data);
    documents.push(done.document);
    losses.push(...done.losses);
  });
  if (given.every(({ contents, errors }) => contents === null && errors.length === 0))
    problems.push({ where: source, message: 'holds no NetworkPolicy' });
  return { documents, losses, problems };
}
