// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { Policy } from './model.js';
import { parseDocuments } from './parse.js';

interface Parts {
  readonly kind?: string;
  readonly namespace?: string;
  readonly subject?: string;
  readonly rule?: string;
  readonly direction?: string;
  readonly spec?: string;
}

function document({ kind = 'ContainerPolicy', namespace = 'shop', subject, rule, direction = 'egress', spec }: Parts) {
  const parts = [
    ...(subject === undefined ? [] : [`subject: ${subject}`]),
    ...(rule === undefined ? [] : [`${direction}: [{name: r, action: Accept, ${rule}}]`]),
    ...(spec === undefined ? [] : [spec]),
  ];
  const place = namespace === '' ? '' : `, namespace: ${namespace}`;
  return `apiVersion: cellwall.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: a${place}}\nspec: {${parts.join(', ')}}\n`;
}

function read(parts: Parts): Policy {
  const { policies, problems } = parseDocuments(document(parts), 'p');
  expect(problems).toEqual([]);
  return policies[0] as Policy;
}

function problems(parts: Parts): string[] {
  return parseDocuments(document(parts), 'p').problems.map(
    ({ where, message }) => `${where.replace(/^p:\d+:\d+ /, '')}: ${message}`,
  );
}

const CLUSTER = { kind: 'ClusterContainerPolicy', namespace: '' };
const all = { podLabels: [], podNames: [], images: [] };

test('a cluster policy selects in the namespaces that it names, or in all', () => {
  expect(read({ ...CLUSTER }).subject).toEqual({ ...all, namespaces: null, containers: [] });
  const subject = '{namespaces: {names: [shop, bank]}, containers: [web]}';
  expect(read({ ...CLUSTER, subject }).subject).toEqual({ ...all, namespaces: ['shop', 'bank'], containers: ['web'] });
});

test.each([
  [{}, '{}', ['shop']],
  [{}, '{namespaces: {}}', null],
  [{}, '{namespaces: {names: [bank]}}', ['bank']],
  [CLUSTER, '{}', null],
  [CLUSTER, '{namespaces: {}}', null],
])('containers peers of %o written as %s are in the namespaces %o', (kind, peer, namespaces) => {
  const [rule] = read({ ...kind, rule: `to: [{containers: ${peer}}]` }).egress;
  expect(rule?.peers).toEqual([{ kind: 'containers', selector: { ...all, namespaces, containers: [] } }]);
});

test('reads every kind of peer', () => {
  const rule =
    'to: [{networks: [10.0.0.0/8], except: [10.1.0.0/16]}, {services: [{name: db}, {name: x, namespace: y}]}, {domainNames: ["*.Example.com", a.b.]}, {entities: [Node, World]}]';
  expect(read({ rule }).egress[0]?.peers).toMatchObject([
    { kind: 'networks', networks: [{ text: '10.0.0.0/8' }], except: [{ text: '10.1.0.0/16' }] },
    {
      kind: 'services',
      services: [
        { name: 'db', namespace: 'shop' },
        { name: 'x', namespace: 'y' },
      ],
    },
    { kind: 'domainNames', names: ['*.example.com', 'a.b'] },
    { kind: 'entities', entities: ['Node', 'World'] },
  ]);
});

test('reads named ports and types of ICMP, which are those of ICMPv6 as well', () => {
  const rule =
    'to: [{containers: {}}], protocols: [{tcp: {destinationPort: {name: http}}}, {icmp: {type: 8}}, {icmp: {}}]';
  expect(read({ rule }).egress[0]?.ports).toEqual([
    { protocol: 6, portName: 'http' },
    { protocol: 1, first: 8, last: 8 },
    { protocol: 58, first: 8, last: 8 },
    { protocol: 1, first: 0, last: 65535 },
    { protocol: 58, first: 0, last: 65535 },
  ]);
});

test.each([
  ['isolate: [Egress, Ingress]', { egress: true, ingress: true }],
  ['ingress: [{name: a, action: Accept}]', { egress: false, ingress: true }],
  ['ingress: [{name: a, action: Deny}]', { egress: false, ingress: false }],
])('%s isolates %o', (spec, wanted) => {
  expect(read({ spec }).isolated).toEqual(wanted);
});

const RULE = 'spec.egress[0]';
test.each<[Parts, string]>([
  [{ subject: '{containers: []}' }, 'spec.subject.containers: is empty; leave it out to mean all'],
  [{ subject: '{pods: {names: []}}' }, 'spec.subject.pods.names: is empty; leave it out to mean all'],
  [{ subject: '{images: []}' }, 'spec.subject.images: is empty; leave it out to mean all'],
  [{ rule: 'to: []' }, `${RULE}.to: is empty; leave it out to mean everything`],
  [{ rule: 'to: [{containers: {names: []}}]' }, `${RULE}.to[0].containers.names: is empty; leave it out to mean all`],
  [
    { subject: '{namespaces: {names: [a]}}' },
    'spec.subject.namespaces: "namespaces" is not offered here in this version',
  ],
  [
    { ...CLUSTER, namespace: 'shop' },
    'metadata.namespace: is not for cluster policies: they are about all namespaces, or subject.namespaces',
  ],
  [
    { rule: 'to: [{}]' },
    `${RULE}.to[0]: needs exactly one of "containers", "networks", "services", "domainNames", "entities", has none`,
  ],
  [
    { rule: 'to: [{networks: [10.0.0.1], entities: [Node]}]' },
    `${RULE}.to[0]: needs exactly one of "containers", "networks", "services", "domainNames", "entities", has 2`,
  ],
  [
    { rule: 'to: [{networks: [10.0.0.0/8], except: [11.0.0.0/16]}]' },
    `${RULE}.to[0].except[0]: "11.0.0.0/16" lies in none of the networks that it is an exception of`,
  ],
  [
    { rule: 'to: [{entities: [Wrold]}]' },
    `${RULE}.to[0].entities[0]: "Wrold" is not "Node", "Cluster", "World" or "APIServer"; did you mean "World"?`,
  ],
  [
    { rule: 'to: [{domainNames: ["*"]}]' },
    `${RULE}.to[0].domainNames[0]: is no domain name; write "api.example.com", or "*.example.com" for all names below it`,
  ],
  [
    { rule: 'protocols: [{tcp: {destinationPort: {name: http}}}]' },
    `${RULE}.protocols: is a name, which only a destination that is a container or service has: give "containers" or "services" peers, or a number`,
  ],
  [
    { rule: 'protocols: [{tcp: {destinationPort: {number: 1, name: a}}}]' },
    `${RULE}.protocols[0].tcp.destinationPort: needs exactly one of "number", "range" and "name"`,
  ],
  [{ rule: 'protocols: [{icmp: {type: 256}}]' }, `${RULE}.protocols[0].icmp.type: must be a type from 0 to 255`],
  [
    { direction: 'ingress', rule: 'from: [{services: [{name: a}]}]' },
    'spec.ingress[0].from[0].services: are for egress: what comes in comes from containers and addresses, not from a service',
  ],
  [
    { direction: 'ingress', rule: 'from: [{domainNames: [a.b]}]' },
    'spec.ingress[0].from[0].domainNames: are for egress: who comes in is not known by a name that was looked up',
  ],
  [
    { direction: 'ingress', rule: 'to: [{entities: [Node]}]' },
    'spec.ingress[0].to: "to" is not offered here in this version',
  ],
  [{ spec: 'isolate: [egress]' }, 'spec.isolate[0]: "egress" is not "Egress" or "Ingress"; did you mean "Egress"?'],
  [{ spec: 'rawSocket: Allow' }, 'spec.rawSocket: unknown field "rawSocket"; did you mean "rawSockets"?'],
  [
    { spec: 'egress: [{name: a, action: Deny}], ingress: [{name: a, action: Deny}]' },
    'spec.ingress[0].name: "a" names two rules',
  ],
])('refuses %o', (parts, wanted) => {
  expect(problems(parts)).toEqual([wanted]);
});

test('a name cannot be denied, and the reason is told', () => {
  const spec = 'egress: [{name: a, action: Deny, to: [{domainNames: [a.b]}]}]';
  expect(problems({ spec })[0]).toMatch(
    /domainNames: cannot be denied: a name has other addresses tomorrow.*deny networks/,
  );
});

test('lists have limits that are named', () => {
  const names = Array.from({ length: 1001 }, (_, i) => `n${i}`).join(', ');
  expect(problems({ subject: `{containers: [${names}]}` })).toEqual([
    'spec.subject.containers: has more than 1,000 entries; split it',
  ]);
  const rules = Array.from({ length: 5001 }, (_, i) => `{name: r${i}, action: Deny}`).join(', ');
  const both = `egress: [${rules}], ingress: [${rules.replaceAll('name: r', 'name: s')}]`;
  expect(problems({ spec: both })).toEqual(['spec: has more than 10,000 rules; split the policy']);
});
