// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseDocuments } from '../../policy/index.js';
import { makeObservation } from './observe.js';
import { policyAt } from './policy_keys.js';

type Options = Parameters<typeof makeObservation>[0];
const make = (more: Partial<Options>) => makeObservation({ server: 'http://127.0.0.1:1', podLabel: [], ...more });

function observationOf(more: Partial<Options>) {
  const { observations, problems } = parseDocuments(stringify(make(more)), 'line');
  expect(problems).toEqual([]);
  return observations[0];
}

test('a namespace alone is about all of its containers', () => {
  expect(observationOf({ namespace: 'shop', names: true, payload: true })).toEqual({
    namespace: 'shop',
    name: expect.stringMatching(/^observe-all-[0-9a-f]{6}$/),
    subject: { namespaces: ['shop'], podLabels: [], podNames: [], containers: [], images: [] },
    names: true,
    payload: true,
  });
});

test.each([
  [{ container: 'shop/web/nginx' }, 'shop', { podNames: ['web'], containers: ['nginx'], podLabels: [] }],
  [{ container: 'shop/web/nginx', namespace: 'shop' }, 'shop', { podNames: ['web'], containers: ['nginx'] }],
  [{ container: 'nginx', namespace: 'shop' }, 'shop', { podNames: [], containers: ['nginx'] }],
  [{ container: '3f2a9c1b7d60' }, '', { podNames: [], containers: ['3f2a9c1b7d60'] }],
  [{ namespace: '' }, '', { podNames: [], containers: [] }],
  [
    { namespace: 'shop', podLabel: ['app=web'] },
    'shop',
    { podLabels: [{ key: 'app', operator: 'In', values: ['web'] }], containers: [] },
  ],
])('%j is about containers of "%s": %j', (more, namespace, subject) => {
  expect(observationOf({ ...more, names: true })).toMatchObject({ namespace, subject, names: true, payload: false });
});

test('a line about the same containers replaces the one before, whatever it asks for', () => {
  const nameOf = (more: Partial<Options>) => make(more).metadata.name;
  const name = nameOf({ namespace: 'shop', names: true });
  expect(nameOf({ namespace: 'shop', payload: true })).toBe(name);
  expect(nameOf({ namespace: 'shop', off: true })).toBe(name);
  expect(nameOf({ namespace: 'shop', podLabel: ['app=web'], names: true })).not.toBe(name);
  expect(nameOf({ namespace: 'shop', container: 'all', names: true })).not.toBe(name);
});

test.each([
  [{ names: true }, '--namespace'],
  [{ namespace: 'shop' }, '--names, --payload or both'],
  [{ namespace: 'other', container: 'shop/web/nginx', names: true }, 'leave one of them out'],
  [{ container: 'a//c', names: true }, 'NAMESPACE/POD/CONTAINER'],
  [{ namespace: 'shop', podLabel: ['app'], names: true }, 'KEY=VALUE'],
])('wrong words are refused: %j', (more, message) => {
  expect(() => make(more)).toThrow(message);
});

test.each([
  ['shop/a', '/v1/policies/shop/a', 'ContainerPolicy'],
  ['a', '/v1/policies/-/a', 'ContainerPolicy'],
  ['observation:shop/a', '/v1/policies/shop/a', 'ContainerObservation'],
  ['observation:a', '/v1/policies/-/a', 'ContainerObservation'],
  ['observation/a', '/v1/policies/observation/a', 'ContainerPolicy'],
])('the key %s is at %s as a %s', (key, path, kind) => {
  expect(policyAt(key)).toEqual({ path, query: { kind } });
});

test.each(['', 'a/', 'observation:', 'a/b/c'])('"%s" is no key', (key) => {
  expect(() => policyAt(key)).toThrow('NAMESPACE/NAME');
});
