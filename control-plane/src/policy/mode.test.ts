// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { withMode } from './mode.js';
import { parseDocuments } from './parse.js';

const HEAD = 'apiVersion: cellwall.dev/v1alpha1\nkind: ContainerPolicy\nmetadata: {name: a, namespace: shop}\n';
const MODE = `# who: team web
${HEAD}spec:
  # until the release
  mode: Audit     # or Enforce
  isolate:   [Egress]
`;

describe('another mode', () => {
  it('leaves every other character as it was', () => {
    expect(withMode(MODE, 'Enforce')).toBe(MODE.replace('mode: Audit', 'mode: Enforce'));
    expect(withMode(withMode(MODE, 'Enforce'), 'Audit')).toBe(MODE);
  });

  it.each([
    [`${HEAD}spec:\n  # why\n  isolate: [Egress]\n`, `${HEAD}spec:\n  # why\n  mode: Audit\n  isolate: [Egress]\n`],
    [`${HEAD}spec: {isolate: [Egress]}\n`, `${HEAD}spec: {mode: Audit, isolate: [Egress]}\n`],
    ['{"spec": {"mode": "Enforce"}}', '{"spec": {"mode": "Audit"}}'],
    ['{"spec": {"isolate": ["Egress"]}}', '{"spec": {"mode": "Audit", "isolate": ["Egress"]}}'],
    [`${HEAD}spec: {}\n`, `${HEAD}spec: {mode: Audit}\n`],
  ])('%j', (before, after) => {
    expect(withMode(before, 'Audit')).toBe(after);
  });
});

it('the text of each document is kept apart, with its comments', () => {
  const other = `${HEAD.replace('name: a', 'name: b')}spec: {}  # last\n`;
  const { sources, problems } = parseDocuments(`---\n${MODE}---\n# second\n${other}...\n`, 'test');
  expect(problems).toEqual([]);
  expect(sources.map((it) => it.text)).toEqual([MODE, `# second\n${other}`]);
});
