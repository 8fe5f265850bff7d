// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { Policy } from '../model.js';
import { parseDocuments } from '../parse.js';
import {
  fromNetworkPolicies,
  fromNetworkPolicy,
  toCiliumPolicies,
  toClusterNetworkPolicies,
  toNetworkPolicies,
} from './index.js';

const TEXT = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}, containers: [nginx]}
  mode: Audit
  egress:
  - name: db
    action: Accept
    to: [{containers: {pods: {matchLabels: {app: db}}, names: [postgres]}}]
    protocols: [{tcp: {destinationPort: {number: 5432}}}]
  - {name: names, action: Accept, to: [{domainNames: ["*.example.com"]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
  - {name: ping, action: Accept, to: [{networks: [10.0.0.0/8], except: [10.1.0.0/16]}], protocols: [{icmp: {type: 8}}]}
  - {name: range, action: Accept, to: [{networks: [10.0.0.5]}], protocols: [{udp: {destinationPort: {range: {start: 1, end: 9}}}}]}
  - {name: metadata, action: Deny, to: [{networks: [169.254.169.254]}]}
  ingress:
  - {name: scrape, action: Accept, from: [{containers: {namespaces: {names: [ops]}}}], protocols: [{tcp: {destinationPort: {name: http}}}]}
`;
const HEAD = { apiVersion: 'cellwall.dev/v1alpha1', kind: 'ContainerPolicy', metadata: { name: 'a', namespace: 's' } };
const read = (text: string): Policy[] => {
  const { policies, problems } = parseDocuments(text, 'test');
  expect(problems).toEqual([]);
  return policies;
};
const lossesAt = ({ losses }: { losses: readonly { where: string; what: string }[] }, where: string) =>
  losses.filter((it) => it.where === where).map(({ what }) => what);

describe('to NetworkPolicy', () => {
  const exported = toNetworkPolicies(read(TEXT));

  it('says what can be said there', () => {
    expect(exported.documents).toEqual([
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: 'web', namespace: 'shop' },
        spec: {
          podSelector: { matchLabels: { app: 'web' } },
          policyTypes: ['Egress', 'Ingress'],
          egress: [
            { to: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ protocol: 'TCP', port: 5432 }] },
            { to: [{ ipBlock: { cidr: '10.0.0.5/32' } }], ports: [{ protocol: 'UDP', port: 1, endPort: 9 }] },
          ],
          ingress: [
            {
              from: [{ podSelector: {}, namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ops' } } }],
              ports: [{ protocol: 'TCP', port: 'http' }],
            },
          ],
        },
      },
    ]);
  });

  it('lists what is lost: containers, names, Deny, ICMP, Audit', () => {
    expect(lossesAt(exported, 'shop/web')).toEqual([
      'the containers nginx are not told from the others of their pods',
      'there is no Audit: it would be enforced',
      expect.stringContaining('opens one end only'),
    ]);
    expect(lossesAt(exported, 'shop/web:names')).toEqual(['domain names (*.example.com) cannot be said: left out']);
    expect(lossesAt(exported, 'shop/web:metadata')).toEqual(['it denies: there is no Deny, the rule is left out']);
    expect(lossesAt(exported, 'shop/web:ping')).toEqual(['ICMP cannot be said: left out']);
  });

  it('leaves out rather than opens: an empty list would mean everybody', () => {
    const only = (to: string) =>
      toNetworkPolicies(
        read(
          `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: a, namespace: s}, spec: {egress: [{name: r, action: Accept, to: [${to}]}]}}`,
        ),
      ).documents;
    for (const to of [
      '{domainNames: [a.b]}',
      '{entities: [World]}',
      '{containers: {images: [a]}}',
      '{services: [{name: x}]}',
    ])
      expect(only(to)).toMatchObject([{ spec: { policyTypes: ['Egress'] } }]);
    for (const to of ['{domainNames: [a.b]}', '{containers: {pods: {names: [p]}}}'])
      expect(JSON.stringify(only(to))).not.toContain('"egress"');
  });
});

it('to CiliumNetworkPolicy: names, Deny, ICMP and isolation are there', () => {
  const { documents, losses } = toCiliumPolicies(read(TEXT));
  expect(documents).toMatchObject([
    {
      kind: 'CiliumNetworkPolicy',
      spec: {
        endpointSelector: { matchLabels: { app: 'web' } },
        enableDefaultDeny: { egress: true, ingress: true },
        egress: [
          {
            toEndpoints: [{ matchLabels: { app: 'db', 'k8s:io.kubernetes.pod.namespace': 'shop' } }],
            toPorts: [{ ports: [{ port: '5432', protocol: 'TCP' }] }],
          },
          { toFQDNs: [{ matchPattern: '**.example.com' }] },
          {
            toCIDRSet: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }],
            icmps: [
              {
                fields: [
                  { family: 'IPv4', type: 8 },
                  { family: 'IPv6', type: 8 },
                ],
              },
            ],
          },
          { toCIDRSet: [{ cidr: '10.0.0.5/32' }], toPorts: [{ ports: [{ port: '1', endPort: 9, protocol: 'UDP' }] }] },
        ],
        egressDeny: [{ toCIDRSet: [{ cidr: '169.254.169.254/32' }] }],
      },
    },
  ]);
  expect(losses.some(({ where, what }) => where === 'shop/web:names' && what.includes('DNS'))).toBe(true);
});

it('to ClusterNetworkPolicy: Denies first, isolation last', () => {
  const { documents } = toClusterNetworkPolicies(read(TEXT));
  expect(documents).toMatchObject([
    { metadata: { name: 'shop-web-deny' }, spec: { priority: 100, egress: [{ name: 'metadata', action: 'Deny' }] } },
    {
      spec: {
        tier: 'Admin',
        priority: 200,
        egress: [
          { name: 'db', protocols: [{ tcp: { destinationPort: { number: 5432 } } }] },
          { name: 'names', to: [{ domainNames: ['*.example.com'] }] },
          { name: 'range', to: [{ networks: ['10.0.0.5/32'] }] },
        ],
      },
    },
    {
      metadata: { name: 'shop-web-isolate' },
      spec: { priority: 300, egress: [{ action: 'Deny' }], ingress: [{ action: 'Deny' }] },
    },
  ]);
});

describe('from NetworkPolicy', () => {
  const specOf = (spec: object, labels: Record<string, string[]> = {}) => {
    const object = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'a', namespace: 's' },
      spec,
    };
    const done = fromNetworkPolicy(object, ({ matchLabels = {} }) => labels[matchLabels.team ?? ''] ?? []);
    expect([done.problems, done.losses]).toEqual([[], []]);
    return (done.documents[0] as { spec: object }).spec;
  };
  const team = (name: string) => ({
    namespaceSelector: { matchLabels: { team: name } },
    podSelector: { matchLabels: { app: 'x' } },
  });

  it('asks for the names of namespaces with labels; where nobody is selected, nobody is accepted', () => {
    const ingress = [{ from: [team('ops'), team('none')] }, { from: [team('none')] }];
    expect(specOf({ podSelector: {}, ingress }, { ops: ['o1', 'o2'] })).toEqual({
      subject: {},
      isolate: ['Ingress'],
      ingress: [
        {
          name: 'ingress-1',
          action: 'Accept',
          from: [{ containers: { namespaces: { names: ['o1', 'o2'] }, pods: { matchLabels: { app: 'x' } } } }],
        },
      ],
    });
  });

  it('says more namespaces than one list may have in several', () => {
    const names = Array.from({ length: 1001 }, (_, i) => `n${i}`);
    const spec = specOf({ podSelector: {}, ingress: [{ from: [team('ops')] }] }, { ops: names });
    expect(read(JSON.stringify({ ...HEAD, spec }))[0]?.ingress[0]?.peers).toHaveLength(2);
  });

  it('which directions it isolates: those that it names, else ingress, and egress where it has rules', () => {
    expect(specOf({ podSelector: {} })).toMatchObject({ isolate: ['Ingress'] });
    expect(specOf({ podSelector: {}, egress: [] })).toMatchObject({ isolate: ['Ingress'] });
    expect(specOf({ podSelector: {}, egress: [{}] })).toMatchObject({ isolate: ['Egress', 'Ingress'] });
    expect(specOf({ podSelector: {}, policyTypes: ['Egress'], ingress: [{}] })).toEqual({
      subject: {},
      isolate: ['Egress'],
    });
  });

  it('comes back as what it was exported from, but for what is lost', () => {
    const [policy] = toNetworkPolicies(read(TEXT)).documents;
    const { documents, losses, problems } = fromNetworkPolicies(stringify(policy), 'np.yaml');
    expect([losses, problems]).toEqual([[], []]);
    const [imported] = read(documents.map((it) => stringify(it)).join('---\n'));
    expect(toNetworkPolicies([imported as Policy]).documents).toEqual([policy]);
    expect(imported).toMatchObject({ mode: 'Enforce', isolated: { egress: true, ingress: true } });
  });

  it('leaves out what it cannot say, and says so', () => {
    const { documents, losses } = fromNetworkPolicies(
      `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: s}, spec: {podSelector: {}, ingress: [
        {from: [{namespaceSelector: {matchLabels: {team: x}}}]}, {ports: [{protocol: SCTP, port: 5}]}, {}]}}`,
      'np.yaml',
    );
    expect(losses.map((it) => it.where)).toEqual(['s/a:ingress-1', 's/a:ingress-2']);
    expect(documents).toMatchObject([
      { spec: { subject: {}, isolate: ['Ingress'], ingress: [{ name: 'ingress-3' }] } },
    ]);
    expect(read(stringify(documents[0]))[0]?.ingress).toMatchObject([{ peers: [], ports: [] }]);
  });

  it('says what is wrong with the input', () => {
    expect(fromNetworkPolicies('kind: Pod', 'x.yaml').problems.map((it) => it.where)).toContain('x.yaml kind');
    expect(fromNetworkPolicies('', 'x.yaml').problems).toEqual([
      { where: 'x.yaml', message: 'holds no NetworkPolicy' },
    ]);
  });
});
