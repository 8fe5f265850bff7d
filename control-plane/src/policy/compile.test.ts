// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { encodeRuleSets } from '../ingest/encode.js';
import { v1 } from '../ingest/wire.js';
import { copied, RuleNumbers } from '../testing/policy_compile.js';
import { type ContainerChange, PolicyCompiler } from './compile/compiler.js';
import { Feed } from './compile/feed.js';
import { amended, lookup, type Question, ruleSetOf } from './lookup.js';
import { parseDocuments } from './parse.js';
import { observedOf } from './select.js';
import { NO_OPTIONS, type PolicyOptions, type WorldContainer } from './world.js';

const HEAD = (name: string, namespace = 'shop') =>
  `apiVersion: cellwall.dev/v1alpha1\nkind: ContainerPolicy\nmetadata: {name: ${name}, namespace: ${namespace}}\n`;

function container(name: string, more: Partial<WorldContainer> = {}): ContainerChange {
  const plain = { namespace: 'shop', pod: name, name, labels: {}, image: '', node: 'n', addresses: [], ports: [] };
  return { key: name, container: { ...plain, ...more } };
}

function compileText(text: string, containers: readonly ContainerChange[] = [], options: PolicyOptions = NO_OPTIONS) {
  const parsed = parseDocuments(text, 'test.yaml');
  expect(parsed.problems).toEqual([]);
  const numbers = new RuleNumbers();
  const compiler = new PolicyCompiler({
    ...parsed,
    generation: 7,
    options,
    containers,
    ruleNumber: numbers.ruleNumber,
  });
  const feed = new Feed('n');
  return { compiler, feed, sets: copied(feed.full(compiler)), numbers };
}

function ask(
  compiled: ReturnType<typeof compileText>,
  who: ContainerChange,
  question: Partial<Question>,
  sets = compiled.sets,
) {
  const { selectors } = compiled.compiler.profileOf(who.container as WorldContainer);
  const set = ruleSetOf(sets, selectors);
  const whole = { direction: 'egress', address: '10.0.0.9', protocol: 6, port: 80, ...question } as const;
  const found = set && lookup(sets, set, whole, 'n');
  return found && `${['', 'allowed', 'denied', 'audit'][found.verdict]} ${compiled.numbers.nameOf(found.rule)}`;
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
  const plain = v1.RuleSets.decode(encodeRuleSets(compileText(two.split('---').slice(0, 2).join('---')).sets).payload);
  const observed = v1.RuleSets.decode(encodeRuleSets(compileText(two).sets).payload);
  expect(observed.policies.slice(0, 1)).toEqual(plain.policies);
  expect(observed.ruleSets).toEqual(plain.ruleSets);
  expect(observed.policies.slice(1)).toMatchObject([
    {
      index: 1,
      name: 'observation:shop/a',
      namespace: 'shop',
      podLabels: [{ key: 'app', operator: 1, values: ['web'] }],
      containers: ['nginx'],
      pods: ['web-1'],
      observeNames: false,
      observePayload: true,
    },
    { index: 2, name: 'observation:shop/all', containers: [], pods: [], observeNames: true, observePayload: true },
  ]);
});

test('a selector that several policies have is there once', () => {
  const { sets } = compileText(two);
  expect(sets.policies.filter((it) => it.subject)).toMatchObject([{ index: 0, name: 'shop/a', namespace: 'shop' }]);
  expect(sets.ruleSets.map((it) => it.policies)).toEqual([[0]]);
});

test('a container is observed as the observations that select it ask together', () => {
  const { observations } = parseDocuments(two, 'test.yaml');
  const nginx = { namespace: 'shop', pod: 'web-1', name: 'nginx', labels: { app: 'web' }, image: '' };
  expect(observedOf(observations, nginx)).toEqual({ names: true, payload: true });
  expect(observedOf(observations.slice(0, 1), nginx)).toEqual({ names: false, payload: true });
  expect(observedOf(observations, { ...nginx, namespace: 'other' })).toEqual({ names: false, payload: false });
  expect(observedOf(observations, { ...nginx, name: '' })).toEqual({ names: false, payload: false });
});

test('a wide deny beats a narrower accept', () => {
  const web = container('web');
  const compiled = compileText(
    `${HEAD('web')}spec:
  egress:
  - {name: db, action: Accept, to: [{networks: ["10.0.0.5/32"]}]}
  - {name: no-private, action: Deny, to: [{networks: ["10.0.0.0/8"]}]}
`,
    [web],
  );
  expect(ask(compiled, web, { address: '10.0.0.5', port: 1433 })).toBe('denied shop/web:no-private');
});

test('what is in force says whether packets and kinds of sockets are judged', () => {
  const flags = (spec: string) => {
    const { guarded, refusesSockets, rawSockets } = compileText(`${HEAD('a')}spec: {${spec}}`).sets.ruleSets[0] ?? {};
    return { guarded, refusesSockets, rawSockets };
  };
  expect(flags('isolate: [Egress]')).toEqual({ guarded: true, refusesSockets: true, rawSockets: false });
  expect(flags('isolate: [Egress], rawSockets: Allow')).toMatchObject({ refusesSockets: true, rawSockets: true });
  expect(flags('isolate: [Egress], mode: Audit')).toMatchObject({ guarded: true, refusesSockets: false });
  expect(flags('isolate: [Ingress]')).toMatchObject({ guarded: true, refusesSockets: false });
});

test('ten thousand networks compile within two seconds of one core and share their classes', () => {
  const list = Array.from({ length: 10_000 }, (_, i) => `"10.${i >> 8}.${i & 255}.0/24"`).join(', ');
  const text = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: many}
spec:
  egress: [{name: known, action: Accept, to: [{networks: [${list}]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]
`;
  const start = process.cpuUsage();
  const { sets } = compileText(text);
  const { user, system } = process.cpuUsage(start);
  expect((user + system) / 1000).toBeLessThan(2000);
  const egress = sets.ruleSets[0]?.peers.filter((it) => it.direction === 1) ?? [];
  expect(egress.length).toBe(10_003);
  expect(new Set(sets.ruleSets[0]?.ports.map((entry) => entry.class)).size).toBe(4);
});

const PAIR = `${HEAD('web')}spec:
  subject: {containers: [web]}
  egress: [{name: db, action: Accept, to: [{containers: {names: [db]}}], protocols: [{tcp: {destinationPort: {name: sql}}}]}]
---
${HEAD('db')}spec: {subject: {containers: [db]}, isolate: [Ingress]}
`;
const web = container('web', { addresses: ['10.0.0.1'] });
const db = container('db', { addresses: ['10.0.0.2'], ports: [{ name: 'sql', protocol: 6, port: 1433 }] });

test('a rule between two containers is written once and holds at both ends', () => {
  const compiled = compileText(PAIR, [web, db]);
  expect(ask(compiled, web, { address: '10.0.0.2', port: 1433 })).toBe('allowed shop/web:db');
  expect(ask(compiled, web, { address: '10.0.0.2', port: 1434 })).toBe('denied shop/web:(default deny)');
  expect(ask(compiled, db, { direction: 'ingress', address: '10.0.0.1', port: 1433 })).toBe('allowed shop/web:db');
  expect(ask(compiled, db, { direction: 'ingress', address: '10.0.0.3', port: 1433 })).toBe(
    'denied shop/db:(default deny)',
  );
});

test('a container of a known kind is an amendment of one address, and its going another', () => {
  const { compiler, feed, sets } = compileText(PAIR, [web, db]);
  compiler.update([container('db', { ...db.container, addresses: ['10.0.0.2', '10.0.0.7'] })]);
  const amendment = feed.amendment(compiler);
  expect(amendment).toMatchObject({
    generation: 7,
    baseRevision: 1,
    revision: 2,
    ruleSets: [],
    additions: [],
    removedAddresses: [],
  });
  if (amendment === 'full' || !amendment) throw new Error('no amendment');
  const identity = sets.addresses.find((it) => it.address[15] === 2)?.identity;
  expect(amendment.addresses.map((it) => [it.address[15], it.identity])).toEqual([[7, identity]]);
  expect(feed.amendment(compiler)).toBe(null);
  compiler.update([{ key: 'db', container: null }]);
  const gone = feed.amendment(compiler);
  if (gone === 'full' || !gone) throw new Error('no amendment');
  expect(gone.removedAddresses.map((it) => it[15])).toEqual([2, 7]);
  expect(amended(amended(sets, amendment), gone).addresses.map((it) => it.address[15])).toEqual([1]);
});

test('nodes that lack the same get one and the same amendment, and each its own where an address means its own node', () => {
  const { compiler } = compileText(PAIR, [web, db]);
  const [a, b, late] = [new Feed('a'), new Feed('b'), new Feed('late')];
  for (const feed of [a, b, late]) feed.full(compiler);
  const dbAt = (...addresses: string[]) => compiler.update([container('db', { ...db.container, addresses })]);
  dbAt('10.0.0.2', '10.0.0.7');
  const first = a.amendment(compiler);
  expect(b.amendment(compiler)).toBe(first);
  dbAt('10.0.0.8');
  const second = a.amendment(compiler);
  expect(b.amendment(compiler)).toBe(second);
  expect(second).toMatchObject({ baseRevision: 2, revision: 3 });
  expect(late.amendment(compiler)).toMatchObject({ baseRevision: 1, revision: 3, addresses: [{}] });
  compiler.setNodes(['a', 'b'].map((name) => ({ name, addresses: ['192.0.2.1'] })));
  for (const [feed, node] of [
    [a, 'a'],
    [b, 'b'],
  ] as const)
    expect(feed.amendment(compiler)).toMatchObject({ addresses: [{ node }] });
});

test('an identity that comes late is added to the rule sets of every node, whoever asked for rule sets meanwhile', () => {
  const text = `${HEAD('web')}spec: {egress: [{name: db, action: Accept, to: [{containers: {names: [db]}}]}]}`;
  const { compiler } = compileText(text, [web]);
  const feeds = [new Feed('a'), new Feed('b')];
  for (const feed of feeds) feed.full(compiler);
  compiler.update([container('db', { addresses: ['10.0.0.2'] })]);
  compiler.ruleSets('c');
  const additions = feeds.map((feed) => {
    const amendment = feed.amendment(compiler);
    return amendment && amendment !== 'full' ? amendment.additions.map(({ id, identities }) => [id, identities]) : [];
  });
  expect(additions[0]?.length).toBeGreaterThan(0);
  expect(additions[1]).toEqual(additions[0]);
  for (const feed of feeds) expect(feed.amendment(compiler)).toBe(null);
});

test('a port that nobody named before is a new selector, so the node gets everything again', () => {
  const { compiler, feed } = compileText(PAIR, [web, db]);
  compiler.update([container('other', { ports: [{ name: 'sql', protocol: 6, port: 5432 }], addresses: ['10.0.0.8'] })]);
  expect(feed.amendment(compiler)).toBe('full');
});

test('a name lifts what isolation has denied, and nothing else', () => {
  const text = `${HEAD('web')}spec:
  subject: {containers: [web]}
  egress:
  - {name: api, action: Accept, to: [{domainNames: ["*.example.com"]}], protocols: [{tcp: {destinationPort: {number: 443}}}]}
  - {name: no, action: Deny, to: [{networks: ["10.9.0.0/16"]}]}
`;
  const compiled = compileText(text, [web]);
  const names = ['api.example.com'];
  expect(ask(compiled, web, { address: '8.8.8.8', port: 443 })).toBe('denied shop/web:(default deny)');
  expect(ask(compiled, web, { address: '8.8.8.8', port: 443, names })).toBe('allowed shop/web:api');
  expect(ask(compiled, web, { address: '8.8.8.8', port: 80, names })).toBe('denied shop/web:(default deny)');
  expect(ask(compiled, web, { address: '8.8.8.8', port: 443, names: ['example.com'] })).toBe(
    'denied shop/web:(default deny)',
  );
  expect(ask(compiled, web, { address: '10.9.0.1', port: 443, names })).toBe('denied shop/web:no');
});

test('identities that nobody has any more are told as a reason to compile anew', () => {
  const { compiler } = compileText(PAIR, [web, db]);
  expect(compiler.isStale).toBe(false);
  // Every pair of labels is another profile to nobody, so only addresses of new sets of containers make identities.
  const nets = Array.from({ length: 1100 }, (_, i) => `"10.${i >> 8}.${i & 255}.0/24"`).join(', ');
  const many = compileText(`${HEAD('web')}spec: {egress: [{name: a, action: Deny, to: [{networks: [${nets}]}]}]}`);
  for (let i = 0; i < 1100; i++) many.compiler.update([container('x', { addresses: [`10.${i >> 8}.${i & 255}.1`] })]);
  expect(many.compiler.isStale).toBe(true);
});
