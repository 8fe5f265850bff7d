// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { NO_OPTIONS, parseDocuments, type World, type WorldContainer } from '../policy/index.js';
import { learnFrom, type Seen, USUAL_OPTIONS } from './index.js';

const START = Date.UTC(2026, 0, 5, 8) * 1000;
const nginx: WorldContainer = {
  node: 'n',
  namespace: 'shop',
  pod: 'web',
  name: 'nginx',
  labels: { app: 'web' },
  image: '',
  addresses: ['10.0.0.1'],
  ports: [],
};
const seen = (address: string): Seen => ({
  own: { ...nginx, container: 'nginx' },
  direction: 'egress',
  verdict: 'allowed',
  answered: true,
  protocol: 6,
  port: 443,
  address,
  backend: null,
  name: null,
  peer: null,
  flows: 7,
  firstUs: START,
  lastUs: START + 1,
});
const policy = (name: string, spec: string) =>
  `{apiVersion: cellwall.dev/v1alpha1, kind: ContainerPolicy, metadata: {name: ${name}, namespace: shop}, spec: {subject: {containers: [nginx]}, ${spec}}}`;
const learnedUnder = (...texts: string[]) => {
  const { policies } = parseDocuments(texts.join('\n---\n'), 'test');
  const world: World = { policies, containers: [nginx], services: [], nodes: [], options: NO_OPTIONS };
  const coverage = { sinceUs: START, untilUs: START + 9, firstUs: START, lastUs: START + 1, lost: [], silent: [] };
  const history = {
    seen: ['192.0.2.1', '192.0.2.2'].map(seen),
    containers: [],
    coverage: { ...coverage, wrongClock: 0 },
  };
  return learnFrom(history, USUAL_OPTIONS, world);
};

it('names what a Deny rule refuses of what was learned', () => {
  const { conflicts, yaml } = learnedUnder(
    policy('no-1', 'egress: [{name: one, action: Deny, to: [{networks: [192.0.2.1]}]}]'),
  );
  expect(conflicts).toMatchObject([
    { container: 'nginx', peer: '192.0.2.1', port: 443, flows: 7, rule: 'shop/no-1:one' },
  ]);
  expect(yaml).toContain('#   shop/web/nginx to 192.0.2.1 tcp/443: 7 flows: refused by shop/no-1:one\n');
});

it('does not take for a conflict what only another allow list refuses: rules add up', () => {
  const allow = policy(
    'allow',
    'egress: [{name: other, action: Accept, to: [{networks: [192.0.2.9]}]}, {name: no, action: Deny, to: [{networks: [192.0.2.8]}]}]',
  );
  expect(learnedUnder(allow).conflicts).toEqual([]);
});

it('says that it would replace a policy', () => {
  const { policies, yaml } = learnedUnder(policy('web-nginx', 'isolate: [Egress]'));
  expect(policies).toMatchObject([{ key: 'shop/web-nginx', replaces: true }]);
  expect(yaml).toContain('There is a policy shop/web-nginx already');
});
