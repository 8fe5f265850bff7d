// SPDX-License-Identifier: Apache-2.0
//
// Drift as people read it.
import { expect, it } from 'vitest';
import { shownDrift } from '../../http/routes/policy_drift.js';
import { parseDocuments } from '../../policy/index.js';
import { edge, found, NEW_WEB, OLD_WEB, STORY } from '../../testing/drift.js';
import { type Answer, findingsOf } from './answer.js';
import { driftMarkdown } from './markdown.js';
import { driftText, driftYaml } from './text.js';

const answer = (...args: Parameters<typeof found>): Answer => JSON.parse(JSON.stringify(shownDrift(found(...args))));
const time = (text: string): string => text.slice(0, 16);

it('is a report, a table and a patch', async () => {
  await expect(driftMarkdown(answer(), time)).toMatchFileSnapshot('./golden/shop.md');
  await expect(driftText(answer(), time, false)).toMatchFileSnapshot('./golden/shop.txt');
  await expect(driftYaml(answer())).toMatchFileSnapshot('./golden/shop.yaml');
});

it('says that there is none', () => {
  expect(driftText(answer([], []), time, false)).toMatch(/\n\nno drift\n$/);
  expect(driftMarkdown(answer([], []), time)).toMatch(/\n\nNo drift\.\n$/);
  expect(driftYaml(answer([], []))).toMatch(/\n# There is nothing to change\.\n$/);
});

it('has one finding for each, which a later answer has again', () => {
  const keys = (edges = STORY) => findingsOf(answer(edges), time).map(({ key }) => key);
  expect(keys()).toHaveLength(6);
  expect(keys(STORY.map((it) => ({ ...it, flows: it.flows + 1 })))).toEqual(keys());
  expect(findingsOf(answer(), time).filter(({ kind }) => kind === 'unused')).toMatchObject([
    { text: expect.stringContaining('nothing used the egress rule old-cache') },
  ]);
});

it('lets no name break out of a table, a comment or a fence', () => {
  const evil = 'x|y`\n# a\n```\u001b[31m<b>';
  const shown = answer([edge(OLD_WEB, '10.9.1.1', 1), edge(NEW_WEB, '203.0.113.1', 1, { name: evil, denied: true })]);
  const markdown = driftMarkdown(shown, time);
  expect(markdown).toContain('x\\|y\\`?\\# a?\\`\\`\\`?\\[31m\\<b>');
  expect(driftText(shown, time, false)).not.toContain('\u001b');
  expect(driftYaml(shown).split('\n')).not.toContain('# a');
  expect(parseDocuments(driftYaml(shown), 'patch').problems).toEqual([]);
});
