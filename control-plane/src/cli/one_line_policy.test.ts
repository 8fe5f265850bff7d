// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseDocuments } from '../policy/index.js';
import { makePolicy } from './one_line_policy.js';

const options = { server: 'http://127.0.0.1:1', podLabel: [], protocol: 'tcp' as const };

function policyOf(
  action: 'Accept' | 'Deny',
  more: Partial<Parameters<typeof makePolicy>[1]> & { container: string; to: string[] },
) {
  const made = makePolicy(action, { ...options, ...more });
  const { policies, problems } = parseDocuments(stringify(made), 'line');
  expect(problems).toEqual([]);
  return { made, policy: policies[0] };
}

test('a container of a pod, an address with a port', () => {
  const { made, policy } = policyOf('Deny', { container: 'shop/web/malware', to: ['10.0.0.5:1433'] });
  expect(made.metadata.name).toMatch(/^deny-malware-[0-9a-f]{6}$/);
  expect(policy).toMatchObject({
    namespace: 'shop',
    mode: 'Enforce',
    isolated: { egress: false, ingress: false },
    subject: { podNames: ['web'], containers: ['malware'] },
    egress: [{ name: 'deny-10-0-0-5-1433', action: 'Deny', ports: [{ protocol: 6, first: 1433, last: 1433 }] }],
  });
});

test('the same line gives the same policy, another line another one', () => {
  const line = (to: string) => policyOf('Deny', { container: 'shop/web/x', to: [to] }).made.metadata.name;
  expect(line('10.0.0.5')).toBe(line('10.0.0.5'));
  expect(line('10.0.0.5')).not.toBe(line('10.0.0.6'));
});

test('labels stand in place of the name of a pod, which a release changes', () => {
  for (const container of ['shop/web-7d9f/nginx', 'shop/nginx']) {
    const { policy } = policyOf('Accept', {
      container,
      to: ['[fd00::1]:443', ':53'],
      podLabel: ['app=web'],
      protocol: 'udp',
    });
    expect(policy?.subject).toEqual({
      namespaces: ['shop'],
      images: [],
      podNames: [],
      containers: ['nginx'],
      podLabels: [{ key: 'app', operator: 'In', values: ['web'] }],
    });
    expect(policy?.isolated).toEqual({ egress: true, ingress: false });
    expect(policy?.egress[1]).toMatchObject({ peers: [], ports: [{ protocol: 17, first: 53, last: 53 }] });
  }
});

test('a container outside of Kubernetes has neither namespace nor pod', () => {
  const { made, policy } = policyOf('Deny', { container: '3f2a9c1b7d60', to: ['169.254.0.0/16'], audit: true });
  expect(made.metadata).not.toHaveProperty('namespace');
  expect(policy).toMatchObject({
    namespace: '',
    mode: 'Audit',
    subject: { podNames: [], containers: ['3f2a9c1b7d60'] },
  });
});

test.each([
  [{ container: 'a/b/c/d', to: ['10.0.0.1'] }, 'NAMESPACE/POD/CONTAINER'],
  [{ container: 'web/nginx', to: ['10.0.0.1'] }, '--pod-label'],
  [{ container: 'a//c', to: ['10.0.0.1'] }, 'NAMESPACE/POD/CONTAINER'],
  [{ container: 'x', to: ['nobody'] }, '--to'],
  [{ container: 'x', to: ['10.0.0.1:70000'] }, 'a port is 1 to 65535'],
  [{ container: 'x', to: ['10.0.0.1/8'] }, 'did you mean 10.0.0.0/8?'],
  [{ container: 'x', to: ['10.0.0.1'], podLabel: ['app'] }, 'KEY=VALUE'],
])('wrong words are refused: %j', (more, message) => {
  expect(() => makePolicy('Deny', { ...options, ...more })).toThrow(message);
});
