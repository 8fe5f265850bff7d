// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseDocuments } from '../../policy/index.js';
import {
  CACHE,
  DB,
  DB2,
  END,
  edge,
  found,
  GHOST,
  HOUR,
  lived,
  NEW_WEB,
  OLD_WEB,
  POLICY,
  peerOf,
  RELEASED,
  START,
  STORY,
} from '../../testing/drift.js';

describe('a newer version', () => {
  it('is told from the one before by what it does, with what the policies say of it', () => {
    const { releases } = found();
    expect(releases).toMatchObject([
      {
        container: 'shop/web/nginx',
        before: 'web:1.4 (aaa)',
        now: 'web:1.5 (bbb)',
        sinceUs: RELEASED,
        known: 2,
        kept: 1,
        covered: 0,
        flows: [
          { peer: '169.254.169.254', port: 80, verdict: 'denied', rule: 'shop/web-nginx:no-metadata', patched: false },
          { peer: 'mail.example.com', port: 25, flows: 3, rule: 'shop/web-nginx:(default deny)', patched: true },
          { peer: 'shop/cache/redis', port: 6379, flows: 12, verdict: 'denied', patched: true },
        ],
      },
    ]);
  });

  it('that does only what the one before did is not named, nor what a rule accepts already', () => {
    const same = [edge(OLD_WEB, DB2, 1, {}), edge(NEW_WEB, DB2, 1, {}), edge(NEW_WEB, DB, 5432)];
    expect(found(same).releases).toEqual([]);
  });

  it('is what the image says where no controller tells releases apart', () => {
    const old = lived('tool', 'tool', 20, { image: 'tool:1', namespace: '', labels: '{}' });
    const young = { ...old, image: 'tool:2', firstUs: RELEASED };
    const { releases } = found([edge(old, DB, 1), edge(young, DB, 2)], [], { containers: [old, young] });
    expect(releases).toMatchObject([{ container: 'tool/tool', before: 'tool:1', now: 'tool:2', flows: [{ port: 2 }] }]);
  });

  it('that calls another of many addresses does nothing new', () => {
    const crowd = Array.from({ length: 16 }, (_, i) => edge(OLD_WEB, `198.51.100.${i}`, 443));
    const another = edge(NEW_WEB, '198.51.100.99', 443);
    expect(found([...crowd, another]).releases).toEqual([]);
    expect(found([...crowd.slice(1), another]).releases).toMatchObject([{ flows: [{ peer: '198.51.100.99' }] }]);
  });

  it('is not blamed for names that were not observed before', () => {
    const bare = edge(OLD_WEB, '198.51.100.1', 443);
    expect(found([bare, edge(NEW_WEB, '198.51.100.1', 443, { name: 'a.example.com' })]).releases).toEqual([]);
  });
});

describe('rules', () => {
  it('are unused when nothing used them for that time; a Deny stays', () => {
    const { unused, patches } = found();
    expect(unused.map(({ rule, action }) => [rule, action])).toEqual([
      ['old-cache', 'Accept'],
      ['no-metadata', 'Deny'],
    ]);
    expect(patches[0]?.yaml).not.toContain('10.9.9.9');
    expect(patches[0]?.yaml).toContain('no-metadata');
  });

  it('are not called unused when they are too young, or the record is', () => {
    expect(found(STORY, [POLICY], { createdUs: END - HOUR })).toMatchObject({
      unused: [],
      young: 2,
      unusedFirstUs: null,
    });
    const short = found(STORY, [POLICY], { unusedFirstUs: END - HOUR });
    expect(short).toMatchObject({ unused: [], young: 2, unusedFirstUs: END - HOUR });
    expect(short.notes.at(-1)).toContain('2 rules decided nothing in it: give a shorter --unused.');
    expect(found(STORY, [POLICY], { unusedFirstUs: null }).unused).toEqual([]);
  });
});

describe('a patch', () => {
  it('can be applied, keeps what people wrote, and accepts what it adds', () => {
    const [patch] = found().patches;
    expect(patch).toMatchObject({ policy: 'shop/web-nginx', added: 2, removed: 1 });
    const { policies, problems } = parseDocuments(patch?.yaml ?? '', 'patch');
    expect(problems).toEqual([]);
    expect(policies[0]?.egress.map(({ name }) => name)).toEqual([
      'db',
      'no-metadata',
      'cache-redis',
      'mail-example-com',
    ]);
    expect(patch?.yaml).toContain('# who: team web');
    expect(patch?.yaml).toContain('# the orders');
    expect(patch?.yaml).toContain('# new: 12 flows');
  });

  it('is one document, also of a text that stood behind the head of a file', () => {
    const [patch] = found(STORY, [`# learned\n---\n${POLICY}`, GHOST]).patches;
    expect(patch?.yaml).not.toMatch(/^---/m);
    expect(patch?.yaml).toMatch(/# learned\n(.*\n)*# who: team web\n/);
  });

  it('never opens what was closed: the last Accept rule goes, isolation stays', () => {
    const { patches } = found([], [POLICY], { used: [] });
    expect(patches).toMatchObject([{ removed: 2 }]);
    const { policies } = parseDocuments(patches[0]?.yaml ?? '', 'patch');
    expect(policies).toMatchObject([{ isolated: { egress: true, ingress: false } }]);
  });

  it('is of the policy that refuses, also when that is the one at the far end', () => {
    const closed = `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: cache, namespace: shop}, spec: {subject: {pods: {matchLabels: {app: cache}}}, isolate: [Ingress]}}`;
    const { patches, releases } = found([edge(OLD_WEB, DB, 1), edge(NEW_WEB, CACHE, 6379)], [closed]);
    expect(patches).toMatchObject([{ policy: 'shop/cache', added: 1, removed: 0 }]);
    expect(releases[0]?.flows).toMatchObject([{ rule: 'shop/cache:(default deny)', patched: true }]);
    const { policies, problems } = parseDocuments(patches[0]?.yaml ?? '', 'patch');
    expect(problems).toEqual([]);
    expect(policies[0]?.ingress).toMatchObject([{ peers: [{ kind: 'containers' }], ports: [{ first: 6379 }] }]);
  });

  it('does not say that it helps when another policy refuses it all the same', () => {
    const no = `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: cache, namespace: shop}, spec: {subject: {pods: {matchLabels: {app: cache}}}, isolate: [Ingress], ingress: [{name: no, action: Deny, from: [{containers: {pods: {matchLabels: {app: web}}}}]}]}}`;
    const flows = found(STORY, [POLICY, no]).releases[0]?.flows ?? [];
    expect(flows.find(({ peer }) => peer === 'shop/cache/redis')).toMatchObject({ verdict: 'denied', patched: false });
  });
});

it('names policies that selected nobody in that time', () => {
  expect(found().empty).toMatchObject([{ policy: 'shop/ghost' }]);
  const nobody = lived('nobody', 'main', 30);
  expect(found(STORY, [GHOST], { containers: [nobody] }).empty).toEqual([]);
});

describe('a peer', () => {
  const old = { firstUs: START, lastUs: START + HOUR };
  const young = { firstUs: START + 9 * HOUR, lastUs: END };
  const moved = (...edges: Parameters<typeof found>[0] & object) =>
    found(edges, []).peers.map((it) => [it.kind, it.to, it.before.name, it.now.name, it.instead]);

  it('has moved when a name, a service or an address led to another workload', () => {
    const [name, service] = [{ name: 'db.shop' }, { backend: { address: '10.1.0.9', port: 5432 } }];
    expect(moved(edge(OLD_WEB, DB, 1, { ...old, ...name }), edge(OLD_WEB, DB2, 1, { ...young, ...name }))).toEqual([
      ['name', 'db.shop', 'shop/db', 'shop/db2', true],
    ]);
    const at = (to: typeof DB, more: object) =>
      edge(OLD_WEB, '10.96.0.1', 1, { peer: peerOf(to), ...service, ...more });
    expect(moved(at(DB, old), at(DB2, young))).toEqual([['service', '10.96.0.1', 'shop/db', 'shop/db2', true]]);
    expect(moved(edge(OLD_WEB, DB2, 1, { firstPeer: peerOf(DB) }))).toEqual([
      ['address', '10.1.0.10', 'shop/db', 'shop/db2', true],
    ]);
  });

  it('has moved when a name leads out of the cluster all of a sudden', () => {
    const name = { name: 'db.shop' };
    expect(
      moved(edge(OLD_WEB, DB, 1, { ...old, ...name }), edge(OLD_WEB, '203.0.113.1', 1, { ...young, ...name })),
    ).toEqual([['name', 'db.shop', 'shop/db', '(outside)', true]]);
  });

  it('that shares a service with another from the beginning has not', () => {
    const at = (to: typeof DB, firstUs: number) =>
      edge(OLD_WEB, '10.96.0.1', 1, { peer: peerOf(to), firstUs, lastUs: END });
    expect(moved(at(DB, START), at(DB2, START + HOUR / 2))).toEqual([]);
    expect(moved(at(DB, START), at(DB2, START + 2 * HOUR))).toEqual([
      ['address', '10.96.0.1', 'shop/db', 'shop/db2', false],
    ]);
  });
});

it('is the same for the same history in any order', () => {
  expect(found([...STORY].reverse())).toEqual(found());
});

it('counts containers without a name, and says nothing of them', () => {
  const nameless = lived('', '', 40, { labels: '{}' });
  const answer = found([edge(nameless, DB, 1)], [], { containers: [nameless] });
  expect(answer).toMatchObject({ unnamed: { containers: 1, flows: 40 }, releases: [], peers: [] });
  expect(answer.notes.at(-1)).toContain('1 container without a name, 40 flows');
});

it('says that there is nothing', () => {
  const nothing = { sinceUs: START, untilUs: END, firstUs: null, lastUs: null, lost: [], silent: [], wrongClock: 0 };
  expect(found([], [], { coverage: nothing, containers: [] })).toMatchObject({
    notes: ['Compared from 2026-01-05T08:00Z to 2026-01-07T08:00Z.', 'Nothing is on record for that time.'],
    unused: [],
    empty: [],
    releases: [],
    peers: [],
    patches: [],
  });
});

it('lists no more than it may, and counts the rest', () => {
  const many = Array.from({ length: 600 }, (_, i) => edge(NEW_WEB, DB, 10_000 + i, { denied: true }));
  const { releases, more, patches } = found([edge(OLD_WEB, DB, 5432), ...many]);
  expect(releases[0]?.flows).toHaveLength(500);
  expect(more.releases).toBe(100);
  expect(parseDocuments(patches[0]?.yaml ?? '', 'patch').problems).toEqual([]);
});
