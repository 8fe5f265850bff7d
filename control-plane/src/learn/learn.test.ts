// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { parseDocuments } from '../policy/index.js';
import { coverageOf } from './coverage.js';
import { type LearnInput, learn, USUAL_OPTIONS } from './learn.js';
import type { Place, Seen } from './seen.js';
import { writeLearned } from './write.js';

const START = Date.UTC(2026, 0, 5, 8) * 1000;
const HOUR = 3600e6;

const place = (pod: string, container: string, labels: Record<string, string> = {}, namespace = 'shop'): Place => ({
  namespace,
  pod,
  container,
  node: 'n1',
  labels: { app: pod.split('-')[0] as string, 'pod-template-hash': 'abc12', ...labels },
});
const nginx = place('web-abc12-x2f4z', 'nginx', { tier: 'front' });
const sidecar = { ...nginx, container: 'sidecar' };
const postgres = place('db-abc12-q8w7v', 'postgres');
const metrics = place('prometheus-abc12-zzzzz', 'prometheus', {}, 'monitoring');

const seen = (own: Place, address: string, port: number, more: Partial<Seen> = {}): Seen => ({
  own,
  direction: 'egress',
  verdict: 'allowed',
  answered: true,
  protocol: 6,
  port,
  address,
  backend: null,
  name: null,
  peer: null,
  flows: 40,
  firstUs: START,
  lastUs: START + 30 * HOUR,
  ...more,
});

const history: Seen[] = [
  seen(nginx, '10.96.0.10', 5432, { backend: { address: '10.1.0.9', port: 5432 }, peer: postgres, flows: 4210 }),
  seen(nginx, '10.96.0.53', 53, { protocol: 17, flows: 900 }),
  seen(nginx, '203.0.113.7', 443, { name: 'api.payments.example' }),
  seen(nginx, '203.0.113.8', 443, { name: 'hooks.payments.example' }),
  seen(nginx, '198.51.100.9', 4444, { verdict: 'denied', flows: 3 }),
  seen(nginx, '198.51.100.77', 8080, { flows: 1, lastUs: START }),
  seen(nginx, '192.0.2.1', 25, { answered: false }),
  seen(nginx, '10.1.9.9', 80, { direction: 'ingress', peer: metrics }),
  seen(nginx, '10.1.0.2', 80, {
    direction: 'ingress',
    peer: { ...place('', ''), namespace: '', node: 'n1', labels: {} },
  }),
  seen(sidecar, '127.0.0.1', 80),
  seen(sidecar, '198.51.100.20', 9000),
  seen(sidecar, '198.51.100.21', 9000),
  seen(postgres, '10.1.0.7', 5432, { direction: 'ingress', peer: nginx }),
];
const input = (all: readonly Seen[]): LearnInput => ({ seen: all, containers: [], services: [], apiServer: [] });
const times = {
  sinceUs: START - HOUR,
  untilUs: START + 31 * HOUR,
  firstUs: START,
  lastUs: START + 30 * HOUR,
};
const lost = [{ count: 12, hole: null }];
const coverage = coverageOf({ ...times, lost, silent: [], wrongClock: 0 });

it('writes a policy for each workload container, as a person would review it', async () => {
  const text = writeLearned(learn(input(history)), coverage);
  expect(parseDocuments(text, 'learned').problems).toEqual([]);
  await expect(text).toMatchFileSnapshot('./golden/shop.yaml');
});

it('gives the same for the same history in any order', () => {
  const text = (all: readonly Seen[]) => writeLearned(learn(input(all)), coverage);
  expect(text([...history].reverse())).toBe(text(history));
});

it('accepts nothing that was only refused, met once, never answered or that has no name', () => {
  const unnamed = { ...nginx, pod: '', container: '', labels: {} };
  const { apart, policies } = learn(
    input([...history, seen(unnamed, '10.1.1.1', 80), seen(nginx, '10.3.3.3', 0, { protocol: 132 })]),
  );
  expect(apart.map((it) => [it.container, it.peer, it.reason])).toEqual([
    ['', '10.1.1.1', 'unnamed'],
    ['nginx', '10.3.3.3', 'protocol'],
    ['nginx', '192.0.2.1', 'never-answered'],
    ['nginx', '198.51.100.77', 'one-off'],
    ['nginx', '198.51.100.9', 'denied'],
  ]);
  expect(policies.map((it) => it.name)).toEqual(['db-postgres', 'web-nginx', 'web-sidecar']);
});

it('takes a replica, or an address of a name, that was met once for no accident', () => {
  const replica = { ...postgres, pod: 'db-abc12-k2k2k' };
  const once = { flows: 1, lastUs: START };
  const { apart, policies } = learn(
    input([
      seen(nginx, '10.1.0.9', 5432, { peer: postgres }),
      seen(nginx, '10.1.0.10', 5432, { peer: replica, ...once }),
      seen(nginx, '203.0.113.7', 443, { name: 'api.example.com', ...once }),
      seen(nginx, '203.0.113.8', 443, { name: 'API.example.com.', ...once }),
    ]),
  );
  expect(apart).toEqual([]);
  expect(policies[0]?.egress.map((it) => it.document.name)).toEqual(['api-example-com', 'db-postgres']);
});

it('takes what a job does once for what it always does', () => {
  const job = place('report-28312345-abcde', 'main', { 'job-name': 'report-28312345' });
  const { apart, policies } = learn(
    input([seen(job, '10.0.0.1', 80, { flows: 1 }), seen(job, '10.0.0.2', 80, { flows: 1 })]),
  );
  expect(apart).toEqual([]);
  expect(policies[0]?.egress.length).toBe(1);
});

it('bounds networks and ports, and says how much more they accept', () => {
  const many = Array.from({ length: 100 }, (_, i) => seen(nginx, `198.51.100.${2 * i}`, 80 + (i % 50)));
  const { policies } = learn(input(many), { ...USUAL_OPTIONS, networks: 2, ports: 4 });
  const [policy] = policies;
  const networks = policy?.egress.flatMap((rule) => rule.document.to ?? []);
  expect(networks?.length).toBeGreaterThan(0);
  for (const rule of policy?.egress ?? []) expect(rule.evidence.unseen).toBeGreaterThanOrEqual(0);
});

it('joins names below a domain only when told, and never below one that may have many owners', () => {
  const names = ['a.eu.example.com', 'b.eu.example.com', 'c.eu.example.com', 'x.co.uk', 'y.co.uk', 'z.co.uk'];
  const all = names.map((name, i) => seen(nginx, `203.0.113.${i}`, 443, { name }));
  const rule = (most: number | null) =>
    learn(input(all), { ...USUAL_OPTIONS, names: most }).policies[0]?.egress.map((it) => it.document.to);
  expect(rule(null)).toEqual([[{ domainNames: [...names].sort() }]]);
  expect(rule(3)).toEqual([[{ domainNames: ['*.eu.example.com', 'x.co.uk', 'y.co.uk', 'z.co.uk'] }]]);
});

it('says what an empty history is', () => {
  expect(
    writeLearned(
      learn(input([])),
      coverageOf({ ...times, firstUs: null, lastUs: null, lost, silent: [], wrongClock: 0 }),
    ),
  ).toContain('Nothing is on record');
});

it('lets no name break out of its comment, and takes none for a domain name that rules cannot have', () => {
  const evil = 'x\n---\nkind: ContainerPolicy\u2028';
  const text = writeLearned(
    learn(
      input([
        seen(nginx, '192.0.2.1', 25, { name: evil, answered: false }),
        seen(nginx, '192.0.2.2', 25, { name: evil }),
      ]),
    ),
    coverage,
  );
  const { policies, problems } = parseDocuments(text, 'learned');
  expect(problems).toEqual([]);
  expect(policies.map((it) => it.name)).toEqual(['web-nginx']);
  expect(text).toContain('networks: [192.0.2.2]');
  expect(text.split('\n').filter((line) => line.includes('x?---?kind'))).toHaveLength(1);
});

it('takes a connection that stays open for no accident', () => {
  const { apart } = learn(
    input([seen(nginx, '10.0.0.1', 80), seen(nginx, '10.0.0.2', 80, { flows: 1, lastUs: START + 20 * HOUR })]),
  );
  expect(apart).toEqual([]);
});

it('holds more names and addresses than one list may have', () => {
  const many = Array.from({ length: 1500 }, (_, i) => seen(nginx, '203.0.113.7', 443, { name: `h${i}.example.com` }));
  const text = writeLearned(learn(input(many)), coverage);
  const { policies, problems } = parseDocuments(text, 'learned');
  expect(problems).toEqual([]);
  expect(policies[0]?.egress[0]?.peers.map((peer) => peer.kind === 'domainNames' && peer.names.length)).toEqual([
    1000, 500,
  ]);
});

it('does not open a whole pod when its caller is on record, and does when only the called end is', () => {
  const db = (caller: Place) =>
    seen(postgres, '10.1.0.7', 5432, { direction: 'ingress', peer: { ...caller, container: '' } });
  const call = seen(nginx, '10.1.0.9', 5432, { peer: postgres });
  const rulesOf = (all: Seen[]) =>
    learn(input(all)).policies.map((it) => [it.name, it.egress.length, it.ingress.length]);
  expect(rulesOf([db(nginx), call])).toEqual([
    ['db-postgres', 0, 0],
    ['web-nginx', 1, 0],
  ]);
  expect(rulesOf([db(nginx)])).toEqual([['db-postgres', 0, 1]]);
  expect(rulesOf([db(nginx), { ...call, port: 5433 }])).toEqual([
    ['db-postgres', 0, 1],
    ['web-nginx', 1, 0],
  ]);
});
