// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { LONGEST_INPUT, parseDocuments, parseObject } from './parse.js';

const good = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web-nginx, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}, containers: [nginx]}
  mode: Audit
  egress:
  - name: database
    action: Accept
    to: [{networks: ["10.0.0.5"]}]
    protocols: [{tcp: {destinationPort: {number: 1433}}}, {udp: {destinationPort: {range: {start: 53, end: 54}}}}]
`;

function problems(text: string): string[] {
  return parseDocuments(text, 'p.yaml').problems.map((problem) => `${problem.where}: ${problem.message}`);
}

function problemsWith(from: string, to: string): string[] {
  expect(good).toContain(from);
  return problems(good.replace(from, to));
}

test('reads a policy with all that it can have', () => {
  const { policies, problems: none } = parseDocuments(good, 'p.yaml');
  expect(none).toEqual([]);
  expect(policies[0]).toMatchObject({
    namespace: 'shop',
    name: 'web-nginx',
    mode: 'Audit',
    isolated: { egress: true, ingress: false },
    loopback: 'Allow',
    subject: {
      namespaces: ['shop'],
      podLabels: [{ key: 'app', operator: 'In', values: ['web'] }],
      podNames: [],
      containers: ['nginx'],
      images: [],
    },
    egress: [
      {
        name: 'database',
        action: 'Accept',
        ports: [
          { protocol: 6, first: 1433, last: 1433 },
          { protocol: 17, first: 53, last: 54 },
        ],
      },
    ],
  });
});

test('several documents and JSON are read alike', () => {
  const two = `${good}---\n${good.replace('web-nginx', 'other')}`;
  expect(parseDocuments(two, 'p').policies.length).toBe(2);
  const json = JSON.stringify(parseDocuments(good, 'p').sources[0]?.document);
  expect(parseDocuments(json, 'p').policies).toEqual(parseDocuments(good, 'p').policies);
});

test.each([
  ['mode: Audit', 'mod: Audit', ['p.yaml:7:8 spec.mod: unknown field "mod"; did you mean "mode"?']],
  ['mode: Audit', 'mode: audit', ['p.yaml:7:9 spec.mode: "audit" is not "Audit" or "Enforce"; did you mean "Audit"?']],
  ['mode: Audit', 'startup: Deny', ['p.yaml:7:12 spec.startup: "startup" is not offered here in this version']],
  [
    'number: 1433',
    'number: 70000',
    ['p.yaml:12:50 spec.egress[0].protocols[0].tcp.destinationPort.number: must be a port from 1 to 65535'],
  ],
  [
    'start: 53, end: 54',
    'start: 54, end: 53',
    ['p.yaml:12:91 spec.egress[0].protocols[1].udp.destinationPort.range: starts after its end'],
  ],
  [
    '"10.0.0.5"',
    '"10.0.0"',
    [
      'p.yaml:11:22 spec.egress[0].to[0].networks[0]: "10.0.0" is not a network; write it as 10.0.0.0/8, fd00::/8 or a single address',
    ],
  ],
  [
    '"10.0.0.5"',
    '"10.0.0.5/33"',
    ['p.yaml:11:22 spec.egress[0].to[0].networks[0]: "10.0.0.5/33": the prefix length must be a number from 0 to 32'],
  ],
  [
    '"10.0.0.5"',
    '"10.0.0.5/8"',
    [
      'p.yaml:11:22 spec.egress[0].to[0].networks[0]: "10.0.0.5/8" has bits set after the prefix; did you mean 10.0.0.0/8?',
    ],
  ],
  [
    '"10.0.0.5"',
    '"10.0.0.0/8", "10.0.0.5"',
    ['p.yaml:11:36 spec.egress[0].to[0].networks[1]: "10.0.0.5" lies within "10.0.0.0/8"; remove one of them'],
  ],
  [
    '"10.0.0.5"',
    '"10.0.0.5", "10.0.0.5/32"',
    ['p.yaml:11:34 spec.egress[0].to[0].networks[1]: "10.0.0.5/32" is listed twice; remove one of them'],
  ],
  [
    'kind: ContainerPolicy',
    'kind: Pod',
    [
      'p.yaml:3:7 kind: unknown kind "Pod", must be "ContainerPolicy", "ClusterContainerPolicy" or "ContainerObservation"',
    ],
  ],
  [
    'kind: ContainerPolicy',
    'kind: ContainerPolcy',
    [
      'p.yaml:3:7 kind: unknown kind "ContainerPolcy", must be "ContainerPolicy", "ClusterContainerPolicy" or "ContainerObservation"; did you mean "ContainerPolicy"?',
    ],
  ],
  [
    'kind: ContainerPolicy',
    '',
    ['p.yaml:2:1 kind: must be "ContainerPolicy", "ClusterContainerPolicy" or "ContainerObservation"'],
  ],
])('says where and what is wrong: %s -> %s', (from, to, wanted) => {
  expect(problemsWith(from, to)).toEqual(wanted);
});

const observing = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerObservation
metadata: {name: web-nginx, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}, containers: [nginx]}
  names: true
`;

test('reads an observation; what it leaves out is not observed, and of all containers', () => {
  expect(parseDocuments(observing, 'p').observations).toEqual([
    {
      namespace: 'shop',
      name: 'web-nginx',
      subject: {
        namespaces: ['shop'],
        podLabels: [{ key: 'app', operator: 'In', values: ['web'] }],
        podNames: [],
        containers: ['nginx'],
        images: [],
      },
      names: true,
      payload: false,
    },
  ]);
  const all = observing.replace(/ {2}subject.*\n/, '').replace('names: true', 'payload: true');
  expect(parseDocuments(all, 'p').observations[0]).toMatchObject({
    subject: { namespaces: ['shop'], podLabels: [], podNames: [], containers: [], images: [] },
    names: false,
    payload: true,
  });
});

test.each([
  ['  names: true\n', '', ['p.yaml:6:3 spec: observes nothing; set "names" or "payload" to true, or both']],
  ['names: true', 'names: false', ['p.yaml:6:3 spec: observes nothing; set "names" or "payload" to true, or both']],
  ['names: true', 'paylod: true', ['p.yaml:7:11 spec.paylod: unknown field "paylod"; did you mean "payload"?']],
  ['names: true', 'mode: Audit', ['p.yaml:7:9 spec.mode: "mode" is not offered here in this version']],
  ['names: true', 'names: "yes"', ['p.yaml:7:10 spec.names: Invalid input: expected boolean, received string']],
])('says where and what is wrong with an observation: %s -> %s', (from, to, wanted) => {
  expect(observing).toContain(from);
  expect(problems(observing.replace(from, to))).toEqual(wanted);
});

test('all problems of all documents come at once, whatever their kinds', () => {
  const wrongKind = observing.replace('ContainerObservation', 'Pod').replace('v1alpha1', 'v1');
  const text = `${wrongKind}---\n${observing.replace('names: true', 'name: true')}---\n${good.replace('Audit', 'audit')}`;
  expect(problems(text).map((line) => line.split(' ')[1])).toEqual([
    'apiVersion:',
    'kind:',
    'spec.name:',
    'spec.mode:',
  ]);
});

test('a policy and an observation may share a name, two of a kind may not', () => {
  const { sources, problems: none } = parseDocuments(`${good}---\n${observing}`, 'p');
  expect(none).toEqual([]);
  expect(sources.map(({ key, kind }) => [key, kind])).toEqual([
    ['shop/web-nginx', 'ContainerPolicy'],
    ['observation:shop/web-nginx', 'ContainerObservation'],
  ]);
  expect(problems(`${observing}---\n${observing}`)).toEqual([
    expect.stringContaining('observation:shop/web-nginx is there twice'),
  ]);
});

test('two policies of one name, and two rules of one name, are refused', () => {
  expect(problems(`${good}---\n${good}`)).toEqual([
    expect.stringContaining('the policy shop/web-nginx is there twice'),
  ]);
  const rule = '  - {name: database, action: Deny}\n';
  expect(problems(good + rule)).toEqual([expect.stringContaining('"database" names two rules')]);
});

test('what is no YAML, empty, or too long is refused', () => {
  expect(problems('a: [')[0]).toMatch(/^p\.yaml:\d+:\d+: /);
  expect(problems('')).toEqual(['p.yaml: holds no policy and no observation']);
  expect(problems('# nothing\n---\n')).toEqual(['p.yaml: holds no policy and no observation']);
  expect(problems('a'.repeat(2 << 20))[0]).toContain('split it');
});

test('aliases are not expanded without end', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'
      .split('')
      .map((letter, i) => `${letter}: &${letter} [${`*${'abcdefgh'[i]},`.repeat(9).slice(0, -1)}]`),
  ].join('\n');
  expect(problems(bomb)[0]).toContain('alias');
});

test('an object is read as its JSON would be, and what is wrong with it is told as of its JSON', () => {
  const both = parseDocuments(`${good}---\n${observing}`, 'p').sources.map(({ document }) => document as object);
  for (const object of both) expect(parseObject(object, 'p')).toEqual(parseDocuments(JSON.stringify(object), 'p'));
  const wrong = { ...both[0], spc: {} };
  expect(parseObject(wrong, 'p')).toEqual(parseDocuments(JSON.stringify(wrong), 'p'));
  expect(parseObject(wrong, 'p').problems.length).toBeGreaterThan(0);
  const long = { ...both[0], metadata: { name: 'long', annotations: { a: 'x'.repeat(LONGEST_INPUT) } } };
  expect(parseObject(long, 'p').problems).toEqual([{ where: 'p', message: expect.stringContaining('longer than') }]);
});
