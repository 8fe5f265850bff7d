// SPDX-License-Identifier: Apache-2.0
//
// What is exported, by the schemas of those who read it. That of NetworkPolicy comes with a package; definitions of the others are
// in none: CELLWALL_FOREIGN_CRDS names a folder that has them, see CONTRIBUTING.md.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { problemsOf } from '../../testing/custom_resources.js';
import type { Structural } from '../crd/structural.js';
import type { Policy } from '../model.js';
import { parseDocuments } from '../parse.js';
import { toCiliumPolicies, toClusterNetworkPolicies, toNetworkPolicies } from './index.js';

const EXAMPLES = join(import.meta.dirname, '../../../../deploy/examples/accepted');
const CRDS = process.env.CELLWALL_FOREIGN_CRDS ?? '';

const wide = (subject: string, count: number) => `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: wide, namespace: shop}
spec:
  subject: {${subject}}
  egress:
  - {name: db, action: Accept, to: [{containers: {pods: {matchLabels: {app: db}}}}], protocols: [{tcp: {destinationPort: {number: 1}}}, {tcp: {destinationPort: {name: http}}}, {udp: {destinationPort: {range: {start: 1, end: 9}}}}]}
  - {name: names, action: Accept, to: [{domainNames: [${Array.from({ length: count }, (_, i) => `h${i}.example.com`)}]}]}
  - {name: networks, action: Accept, to: [{networks: [${Array.from({ length: count }, (_, i) => `10.0.${i}.0/24`)}, "2001:db8::/32"], except: [10.0.0.5]}]}
  - {name: hosts, action: Accept, to: [{networks: [${Array.from({ length: count }, (_, i) => `10.9.${i}.1`)}]}], protocols: [{icmp: {type: 8}}]}
  - {name: world, action: Deny, to: [{entities: [World]}]}
  - {name: metadata, action: Deny, to: [{networks: [169.254.169.254]}]}
  ingress:
  - {name: anybody, action: Accept}
`;

function policies(): Policy[] {
  const texts = readdirSync(EXAMPLES).map((name) => readFileSync(join(EXAMPLES, name), 'utf8'));
  texts.push(
    wide('pods: {matchLabels: {app: web}}', 3),
    wide('', 60),
    wide('pods: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}', 200),
  );
  return texts.flatMap((text) => {
    const { policies: found, problems } = parseDocuments(text, 'test');
    expect(problems).toEqual([]);
    return found;
  });
}

it('NetworkPolicy, by the schema of Kubernetes', () => {
  const { documents } = toNetworkPolicies(policies());
  expect(documents.length).toBeGreaterThan(3);
  for (const document of documents) expect(() => new NetworkPolicy(document as never).validate()).not.toThrow();
});

it('a schema that takes everything would not show anything', () => {
  const wrong = { metadata: { name: 'a' }, spec: { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: 5 } }] }] } };
  expect(() => new NetworkPolicy(wrong as never).validate()).toThrow();
});

interface Definition {
  readonly spec?: {
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Structural } }[];
  };
}

function schemaOf(apiVersion: string, kind: string): Structural {
  const found = readdirSync(CRDS)
    .flatMap((name) =>
      parseAllDocuments(readFileSync(join(CRDS, name), 'utf8')).map((it) => it.toJS() as Definition | null),
    )
    .find((it) => it?.spec?.names.kind === kind);
  const version = found?.spec?.versions.find(({ name }) => apiVersion.endsWith(`/${name}`));
  if (!version) throw new Error(`no file in ${CRDS} defines ${kind} ${apiVersion}`);
  return version.schema.openAPIV3Schema;
}

/** A library of the API server that the evaluator of the tests lacks. */
const isKnown = (problem: string): boolean => !problem.endsWith('unbound function: isCIDR');

describe.skipIf(!existsSync(CRDS))('by the definitions in CELLWALL_FOREIGN_CRDS', () => {
  it.each([
    ['CiliumNetworkPolicy', toCiliumPolicies],
    ['ClusterNetworkPolicy', toClusterNetworkPolicies],
  ] as const)('%s', (_, make) => {
    const { documents } = make(policies());
    expect(documents.length).toBeGreaterThan(3);
    for (const document of documents as { apiVersion: string; kind: string; metadata: { name: string } }[])
      expect(
        problemsOf(schemaOf(document.apiVersion, document.kind), document).filter(isKnown),
        document.metadata.name,
      ).toEqual([]);
  });
});
