// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeRuleSets } from '../ingest/encode.js';
import { v1 } from '../ingest/wire.js';
import { compile } from './compile.js';
import { evaluate } from './evaluate.js';
import { lookup } from './lookup.js';
import { type Policy, policyKey } from './model.js';
import { parseNetwork } from './network.js';
import { parseDocuments } from './parse.js';
import { observedOf } from './select.js';

function numbers() {
  const names = ['(no policy)', '(default allow)'];
  return {
    ruleNumber(key: string, rule: string): number {
      const name = `${key}:${rule}`;
      const known = names.indexOf(name, 2);
      return (known >= 0 ? known : names.push(name) - 1) + 14;
    },
    nameOf: (number: number) => (number < 16 ? names[number] : names[number - 14]),
  };
}

// Nested and neighbouring networks, and ports at the edges of prefixes, so that rules meet often.
const networks = [
  '0.0.0.0/0',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.0/24',
  '10.1.2.3',
  '10.1.2.4',
  '127.0.0.0/8',
  '127.0.0.1',
  '::1',
  'fd00::/8',
  'fd00::5',
  '::/0',
  '128.0.0.0/1',
];
const addresses = [
  '10.1.2.3',
  '10.1.2.4',
  '10.1.3.1',
  '10.2.0.1',
  '11.0.0.1',
  '127.0.0.1',
  '127.9.9.9',
  '::1',
  'fd00::5',
  'fd01::1',
  '2001:db8::1',
  '255.255.255.255',
  '::ffff:10.1.2.3',
];
const edges = [1, 2, 79, 80, 81, 443, 1023, 1024, 8191, 8192, 65534, 65535];

const port = fc.constantFrom(...edges);
const range = fc
  .tuple(fc.constantFrom(6 as const, 17 as const), port, port)
  .map(([protocol, a, b]) => ({ protocol, first: Math.min(a, b), last: Math.max(a, b) }));
const rule = fc.record({
  action: fc.constantFrom('Accept' as const, 'Deny' as const),
  networks: fc.subarray(networks, { maxLength: 3 }).map((list) => list.map((text) => parseNetwork(text) as never)),
  ports: fc.array(range, { maxLength: 3 }),
});
const policy = fc.record({
  mode: fc.constantFrom('Audit' as const, 'Enforce' as const),
  isolate: fc.boolean(),
  loopback: fc.constantFrom('Allow' as const, 'Deny' as const),
  rules: fc.array(rule, { maxLength: 5 }),
});
const policies = fc.array(policy, { minLength: 1, maxLength: 4 }).map((list) =>
  list.map(
    (given, index): Policy => ({
      namespace: 'shop',
      name: `p${index}`,
      mode: given.mode,
      isolated: given.isolate || given.rules.some((entry) => entry.action === 'Accept'),
      loopback: given.loopback,
      subject: { podLabels: [], podNames: [], containers: [] },
      egress: given.rules.map((entry, at) => ({ ...entry, name: `r${at}` })),
    }),
  ),
);
const probe = fc.record({
  address: fc.constantFrom(...addresses),
  protocol: fc.constantFrom(6, 17, 1),
  port: fc.oneof(port, fc.integer({ min: 1, max: 65535 })),
});

test('the compiled rule set says what the reference evaluator says', () => {
  fc.assert(
    fc.property(policies, fc.array(probe, { minLength: 10, maxLength: 30 }), (list, probes) => {
      const numbering = numbers();
      const combination = list.map((_, index) => index);
      const set = compile({
        generation: 1,
        policies: list,
        observations: [],
        combinations: [combination],
        ruleNumber: numbering.ruleNumber,
      }).ruleSets[0];
      if (!set) throw new Error('no rule set');
      for (const each of probes) {
        const wanted = evaluate(list, each);
        const found = lookup(set, each);
        expect({
          probe: each,
          verdict: ['', 'allowed', 'denied', 'audit'][found?.verdict ?? 0],
          rule: numbering.nameOf(found?.rule ?? -1),
        }).toEqual({
          probe: each,
          verdict: wanted.verdict,
          rule: wanted.policy === null ? '(default allow)' : `${wanted.policy}:${wanted.rule}`,
        });
      }
    }),
    { numRuns: 2000 },
  );
});

function compileText(text: string) {
  const parsed = parseDocuments(text, 'test.yaml');
  expect(parsed.problems).toEqual([]);
  const numbering = numbers();
  const sorted = [...parsed.policies].sort((a, b) => policyKey(a).localeCompare(policyKey(b)));
  const sets = compile({
    generation: 7,
    policies: sorted,
    observations: [],
    combinations: [sorted.map((_, i) => i)],
    ruleNumber: numbering.ruleNumber,
  });
  return { sets, ...numbering };
}

const two = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: a, namespace: shop}
spec: {egress: [{name: db, action: Deny, to: [{networks: ["10.0.0.5"]}]}]}
---
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: b, namespace: shop}
spec: {egress: [{name: dns, action: Accept, protocols: [{udp: {destinationPort: {number: 53}}}]}]}
---
apiVersion: cellwall.dev/v1alpha1
kind: ContainerObservation
metadata: {name: a, namespace: shop}
spec: {subject: {pods: {matchLabels: {app: web}, names: [web-1]}, containers: [nginx]}, payload: true}
---
apiVersion: cellwall.dev/v1alpha1
kind: ContainerObservation
metadata: {name: all, namespace: shop}
spec: {names: true, payload: true}
`;

test('observations come behind the policies, and change no byte of theirs', () => {
  const { policies: given, observations } = parseDocuments(two, 'test.yaml');
  const bytes = (seen: typeof observations) => {
    const { ruleNumber } = numbers();
    const input = { generation: 1, policies: given, combinations: [[0], [1], [0, 1]], ruleNumber };
    return encodeRuleSets(compile({ ...input, observations: seen }));
  };
  const plain = v1.RuleSets.decode(bytes([]));
  const observed = v1.RuleSets.decode(bytes(observations));
  const reEncoded = v1.RuleSets.encode({ ...observed, policies: observed.policies.slice(0, 2) }).finish();
  expect(Buffer.from(reEncoded).equals(bytes([]))).toBe(true);
  expect(observed.ruleSets).toEqual(plain.ruleSets);
  expect(observed.policies.slice(2)).toMatchObject([
    {
      index: 2,
      name: 'observation:shop/a',
      namespace: 'shop',
      podLabels: [{ key: 'app', operator: 1, values: ['web'] }],
      containers: ['nginx'],
      pods: ['web-1'],
      observeNames: false,
      observePayload: true,
    },
    { index: 3, name: 'observation:shop/all', containers: [], pods: [], observeNames: true, observePayload: true },
  ]);
});

test('a container is observed as the observations that select it ask together', () => {
  const { observations } = parseDocuments(two, 'test.yaml');
  const nginx = { namespace: 'shop', pod: 'web-1', name: 'nginx', labels: { app: 'web' } };
  expect(observedOf(observations, nginx)).toEqual({ names: true, payload: true });
  expect(observedOf(observations.slice(0, 1), nginx)).toEqual({ names: false, payload: true });
  expect(observedOf(observations, { ...nginx, namespace: 'other' })).toEqual({ names: false, payload: false });
  expect(observedOf(observations, { ...nginx, name: '' })).toEqual({ names: false, payload: false });
});

test('a wide deny beats a narrower accept', () => {
  const { sets, nameOf } = compileText(`
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web, namespace: shop}
spec:
  egress:
  - {name: db, action: Accept, to: [{networks: ["10.0.0.5/32"]}]}
  - {name: no-private, action: Deny, to: [{networks: ["10.0.0.0/8"]}]}
`);
  const found = lookup(sets.ruleSets[0] as never, { address: '10.0.0.5', protocol: 6, port: 1433 });
  expect(found?.verdict).toBe(2);
  expect(nameOf(found?.rule ?? 0)).toBe('shop/web:no-private');
});

test('ten thousand networks compile within two seconds and share their classes', () => {
  const list = Array.from({ length: 10_000 }, (_, i) => `"10.${i >> 8}.${i & 255}.0/24"`).join(', ');
  const text = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: many}
spec:
  egress: [{name: known, action: Accept, to: [{networks: [${list}]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]
`;
  const start = performance.now();
  const { sets } = compileText(text);
  expect(performance.now() - start).toBeLessThan(2000);
  expect(sets.ruleSets[0]?.peers.length).toBe(10_003);
  expect(new Set(sets.ruleSets[0]?.ports.map((entry) => entry.class)).size).toBe(3);
});
