// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { NO_OPTIONS, type Policy, parseDocuments, type World, type WorldContainer } from '../policy/index.js';
import { PendingJudge } from './pending.js';
import { type Peer, packKind, type StoredFlow } from './record.js';

const container = (pod: string, name: string, address: string): WorldContainer => ({
  node: 'n',
  namespace: 'shop',
  pod,
  name,
  labels: { app: pod },
  image: '',
  addresses: [address],
  ports: [],
});
const WEB = container('web', 'nginx', '10.0.0.1');
const DB = container('db', 'postgres', '10.0.0.2');
const LONER = container('loner', 'main', '10.0.0.3');

function read(text: string): Policy[] {
  const { policies, problems } = parseDocuments(text, 'test');
  expect(problems).toEqual([]);
  return policies;
}
const web = (rules: string, more = '') =>
  read(
    `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: web, namespace: shop}, spec: {${more}subject: {containers: [nginx]}, isolate: [Egress], egress: [${rules}]}}`,
  );
const TO_DB = '{name: db, action: Accept, to: [{containers: {names: [postgres]}}]}';
const TO_OTHER =
  '{name: other, action: Accept, to: [{containers: {names: [postgres]}}], protocols: [{tcp: {destinationPort: {number: 1}}}]}';
const TO_NAME = '{name: api, action: Accept, to: [{domainNames: [api.example.com]}]}';

const world = (policies: readonly Policy[]): World => ({
  policies,
  containers: [WEB, DB, LONER],
  services: [
    {
      namespace: 'shop',
      name: 'db',
      addresses: ['10.9.0.1'],
      backends: ['10.0.0.2'],
      ports: [{ name: '', protocol: 6, port: 80, target: 5432 }],
    },
  ],
  nodes: [],
  options: NO_OPTIONS,
});

function flow(
  own: WorldContainer,
  remote: string,
  more: Partial<StoredFlow> & { direction?: number } = {},
): StoredFlow {
  const { direction = 1, ...rest } = more;
  return {
    ...{ day: '2026-01-05', id: 1, node: own.node, cgroupId: '7', namespace: own.namespace, pod: own.pod },
    ...{ container: own.name, image: '', endUs: 1, durationUs: 1, count: 1, local: own.addresses[0] ?? '' },
    kind: packKind({ protocol: 6, direction, verdict: 1, end: 1, flags: 0, failure: 0, payload: 0, tls: 0 }),
    ...{
      localPort: 40_000,
      remote,
      remotePort: 5432,
      sentBytes: 1,
      receivedBytes: 1,
      sentPackets: 1,
      receivedPackets: 1,
    },
    ...{ rttUs: 1, retransmits: 0, rule: 0, rulePolicy: null, ruleName: null, generation: 1, processId: 1 },
    ...{ processName: 'x', translation: null, name: null, serverName: null },
    ...rest,
  };
}

const peer = (of: WorldContainer): Peer => ({
  ...{ name: `shop/${of.pod}/${of.name}`, namespace: 'shop', pod: of.pod, container: of.name, node: 'n' },
  ...{ flow: null, how: 'address' },
});

describe('a staged version beside the one in force', () => {
  const judge = new PendingJudge(world(web(TO_DB)), web(TO_NAME));

  it('says what it would say of a flow, both ways', () => {
    expect(judge.judge(flow(WEB, '10.0.0.2'), peer(DB))).toEqual({
      verdict: 'denied',
      rule: 'shop/web:(default deny)',
    });
    expect(judge.judge(flow(WEB, '192.0.2.1', { name: 'API.example.com' }), null)).toEqual({
      verdict: 'allowed',
      rule: 'shop/web:api',
    });
  });

  it('says it at the other end, and of a service', () => {
    const called = flow(DB, '10.0.0.1', { direction: 2, localPort: 5432, remotePort: 40_000 });
    expect(new PendingJudge(world(web(TO_DB)), web(TO_OTHER)).judge(called, peer(WEB))?.verdict).toBe('denied');
    const back = new PendingJudge(world(web(TO_NAME)), web(TO_DB));
    expect(back.judge(flow(WEB, '10.9.0.1', { remotePort: 80 }), peer(DB))).toEqual({
      verdict: 'allowed',
      rule: 'shop/web:db',
    });
  });

  it('marks in mode Audit', () => {
    const audit = new PendingJudge(world([]), web(TO_NAME, 'mode: Audit, '));
    expect(audit.judge(flow(WEB, '10.0.0.2'), peer(DB))).toMatchObject({ verdict: 'audit' });
  });

  it('says nothing of flows that it is not about, nor of ends that are gone', () => {
    expect(judge.judge(flow(LONER, '10.0.0.2'), peer(DB))).toBeNull();
    expect(judge.judge(flow(container('gone', 'nginx', '10.0.0.8'), '10.0.0.2'), peer(DB))).toBeNull();
    const before = container('before', 'main', '10.0.0.3');
    expect(judge.judge(flow(WEB, '10.0.0.4'), peer(before))).toBeNull();
    // The address is another pod's by now; the pod that had it has another.
    expect(judge.judge(flow(WEB, '10.0.0.3'), peer(DB))).toBeNull();
  });

  it('is about what the version in force is about, too', () => {
    const wider = read(
      '{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: web, namespace: shop}, spec: {subject: {containers: [main]}, isolate: [Egress]}}',
    );
    const moved = new PendingJudge(world(web(TO_NAME)), wider);
    expect(moved.judge(flow(WEB, '10.0.0.2'), peer(DB))).toEqual({ verdict: 'allowed', rule: null });
    expect(moved.judge(flow(LONER, '10.0.0.2'), peer(DB))?.verdict).toBe('denied');
  });
});
