// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { NO_OPTIONS, type Policy, parseDocuments, type World, type WorldContainer } from '../policy/index.js';
import { type EffectInput, effectOf } from './effect.js';
import { packKind } from './record.js';

const container = (pod: string, name: string, address: string, labels = {}): WorldContainer => ({
  node: 'n',
  namespace: 'shop',
  pod,
  name,
  labels,
  image: '',
  addresses: [address],
  ports: [],
});

const HASH = { 'pod-template-hash': 'abc12' };
const NGINX = container('web', 'nginx', '10.0.0.1', { app: 'web' });
const OLD_DB = container('db-abc12-old', 'postgres', '10.0.0.2', { app: 'db', ...HASH });
const NEW_DB = container('db-abc12-new', 'postgres', '10.0.0.9', { app: 'db', ...HASH });
const OTHER = container('other', 'thing', '10.0.0.2', { app: 'other' });

/** From nginx. */
function flows(count: number, to: Partial<EffectInput> & { far?: WorldContainer }): EffectInput {
  const { far, ...more } = to;
  return {
    container: {
      node: 'n',
      namespace: 'shop',
      pod: 'web',
      container: 'nginx',
      cgroupId: '7',
      image: '',
      labels: JSON.stringify(NGINX.labels),
      addresses: '["10.0.0.1"]',
    },
    wanted: true,
    kind: packKind({ protocol: 6, direction: 1, verdict: 1, end: 1, flags: 0, failure: 0, payload: 0, tls: 0 }),
    address: far?.addresses[0] ?? '192.0.2.1',
    port: 5432,
    backend: null,
    outside: null,
    name: null,
    peer: far
      ? {
          name: `shop/${far.pod}/${far.name}`,
          namespace: 'shop',
          pod: far.pod,
          container: far.name,
          node: 'n',
          labels: JSON.stringify(far.labels),
          flow: null,
          how: 'address',
        }
      : null,
    rulePolicy: null,
    ruleName: null,
    rule: 1,
    flows: count,
    sentBytes: 0,
    receivedBytes: 0,
    firstUs: 1e12,
    lastUs: 2e12,
    ...more,
  };
}

const policy = (spec: string, mode = 'Enforce'): Policy[] =>
  parseDocuments(
    `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: p, namespace: shop}, spec: {mode: ${mode}, ${spec}}}`,
    'test',
  ).policies as Policy[];

function effect(policies: Policy[], containers: WorldContainer[], edges: EffectInput[], before: Policy[] = []) {
  const world = (all: Policy[]): World => ({ policies: all, containers, services: [], nodes: [], options: NO_OPTIONS });
  const change = { before: world(before), after: world(policies), edges, sinceUs: 0, untilUs: 3e12 };
  const work = effectOf(change, policies);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

const TO_DB =
  'subject: {containers: [nginx]}, egress: [{name: db, action: Accept, to: [{containers: {pods: {matchLabels: {app: db}}}}]}]';
const DENY_DB = TO_DB.replace('Accept', 'Deny');
const ACCEPT_NGINX =
  'subject: {containers: [postgres]}, ingress: [{name: app, action: Accept, from: [{containers: {names: [other]}}]}]';

describe('effectOf', () => {
  it('counts what an allow list would refuse, and leaves what it accepts', () => {
    const found = effect(policy(TO_DB), [NGINX, NEW_DB], [flows(3, { far: NEW_DB }), flows(5, {})]);
    expect(found).toMatchObject({ refused: 5, accepted: 0, unchanged: 3, unknown: 0, selects: { containers: 1 } });
    expect(found.lines).toMatchObject([
      { peer: '192.0.2.1', flows: 5, after: 'denied', rule: 'shop/p:(default deny)' },
    ]);
  });

  it('counts audit apart, and what a policy that goes would accept again', () => {
    const edges = [flows(3, { far: NEW_DB })];
    expect(effect(policy(DENY_DB, 'Audit'), [NGINX, NEW_DB], edges)).toMatchObject({ marked: 3, refused: 0 });
    expect(effect([], [NGINX, NEW_DB], edges, policy(DENY_DB))).toMatchObject({ accepted: 3 });
    expect(effect(policy(DENY_DB), [NGINX, NEW_DB], edges, policy(DENY_DB))).toMatchObject({ unchanged: 3 });
  });

  it('judges by the far end, too, when only that one is selected', () => {
    expect(effect(policy(ACCEPT_NGINX), [NGINX, NEW_DB], [flows(4, { far: NEW_DB })])).toMatchObject({ refused: 4 });
  });

  it('knows the peer by its workload when its address is another one now', () => {
    const edges = [flows(3, { far: OLD_DB })];
    expect(effect(policy(DENY_DB), [NGINX, NEW_DB], edges)).toMatchObject({ refused: 3 });
    expect(effect(policy(DENY_DB), [NGINX, NEW_DB, OTHER], edges)).toMatchObject({ refused: 3 });
  });

  it('knows a peer that is gone by its labels, and does not judge it by who has its address now', () => {
    const edges = [flows(3, { far: OLD_DB })];
    expect(effect(policy(DENY_DB), [NGINX], edges)).toMatchObject({ refused: 3 });
    expect(effect(policy(DENY_DB), [NGINX, OTHER], edges)).toMatchObject({ refused: 0, unknown: 3 });
  });

  it('knows the name that an address was looked up by', () => {
    const names =
      'subject: {containers: [nginx]}, egress: [{name: n, action: Accept, to: [{domainNames: ["*.example.com"]}]}]';
    const edges = [flows(1, { name: 'API.example.com' }), flows(2, { name: 'example.org' }), flows(4, {})];
    expect(effect(policy(names), [NGINX], edges)).toMatchObject({ refused: 6, unchanged: 1 });
  });
});
