// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import { explain } from './explain.js';
import { parseDocuments } from './parse.js';
import { NO_OPTIONS, type World } from './world.js';

const container = (pod: string, name: string, address: string) => ({
  node: 'n',
  namespace: 'shop',
  pod,
  name,
  image: '',
  labels: { app: pod },
  ports: [],
  addresses: [address, `fd00::${address.split('.').at(-1)}`],
});

const world = (text: string): World => ({
  policies: parseDocuments(text, 'test').policies,
  containers: [
    container('web', 'nginx', '10.1.0.7'),
    container('web', 'malware', '10.1.0.7'),
    container('db', 'postgres', '10.1.0.9'),
  ],
  services: [],
  nodes: [],
  options: NO_OPTIONS,
});

const POLICY = `
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: db, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: db}}}
  ingress:
  - name: nginx
    action: Accept
    from: [{containers: {names: [nginx]}}]
    protocols: [{tcp: {destinationPort: {number: 5432}}}]
`;

const ask = (from: string, to: string, port = 5432) => ({ from, to, protocol: 6, port, name: null });

it('asks both ends, and says who refuses at which', () => {
  const [allowed] = explain(world(POLICY), ask('shop/web/nginx', 'db/postgres'));
  expect(allowed).toMatchObject({ from: 'shop/web/nginx', to: 'shop/db/postgres', verdict: 'allowed' });
  expect(allowed?.ends.map((it) => [it.direction, it.address])).toEqual([
    ['egress', '10.1.0.9'],
    ['ingress', '10.1.0.7'],
  ]);
  const [denied] = explain(world(POLICY), ask('malware', 'postgres'));
  expect(denied?.verdict).toBe('denied');
  expect(denied?.ends[0]?.evaluation).toMatchObject({ verdict: 'denied', policy: 'shop/db', rule: '(default deny)' });
});

it('explains every container that a name stands for, and addresses as they are', () => {
  expect(explain(world(POLICY), ask('web/nginx', '192.0.2.1', 443))).toMatchObject([
    { to: '192.0.2.1', verdict: 'allowed', ends: [{ direction: 'egress' }] },
  ]);
  expect(explain(world(POLICY), ask('192.0.2.1', 'postgres'))).toMatchObject([
    { verdict: 'denied', ends: [{ direction: 'ingress', address: '192.0.2.1' }] },
  ]);
  expect(explain(world(POLICY), ask('shop/web/other', 'postgres'))).toEqual([]);
  expect(explain(world(POLICY), ask('192.0.2.1', '192.0.2.2'))).toEqual([]);
});
