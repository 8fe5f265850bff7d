// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parsePolicies } from './parse.js';

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
  return parsePolicies(text, 'p.yaml').problems.map((problem) => `${problem.where}: ${problem.message}`);
}

function problemsWith(from: string, to: string): string[] {
  expect(good).toContain(from);
  return problems(good.replace(from, to));
}

test('reads a policy with all that it can have', () => {
  const { policies, problems: none } = parsePolicies(good, 'p.yaml');
  expect(none).toEqual([]);
  expect(policies[0]).toMatchObject({
    namespace: 'shop',
    name: 'web-nginx',
    mode: 'Audit',
    isolated: true,
    loopback: 'Allow',
    subject: { podLabels: [{ key: 'app', operator: 'In', values: ['web'] }], podNames: [], containers: ['nginx'] },
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
  expect(parsePolicies(two, 'p').policies.length).toBe(2);
  const json = JSON.stringify(parsePolicies(good, 'p').documents[0]);
  expect(parsePolicies(json, 'p').policies).toEqual(parsePolicies(good, 'p').policies);
});

test.each([
  ['mode: Audit', 'mod: Audit', ['p.yaml:7:8 spec.mod: unknown field "mod"; did you mean "mode"?']],
  ['mode: Audit', 'mode: audit', ['p.yaml:7:9 spec.mode: Invalid option: expected one of "Audit"|"Enforce"']],
  ['mode: Audit', 'ingress: []', ['p.yaml:7:12 spec.ingress: "ingress" is not offered here in this version']],
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
  ['kind: ContainerPolicy', 'kind: Pod', ['p.yaml:3:7 kind: Invalid input: expected "ContainerPolicy"']],
  [
    'networks: ["10.0.0.5"]',
    'domainNames: ["a.b"]',
    expect.arrayContaining([expect.stringContaining('"domainNames" is not offered here')]),
  ],
])('says where and what is wrong: %s -> %s', (from, to, wanted) => {
  expect(problemsWith(from, to)).toEqual(wanted);
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
  expect(problems('')).toEqual(['p.yaml: holds no policy']);
  expect(problems('# nothing\n---\n')).toEqual(['p.yaml: holds no policy']);
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
