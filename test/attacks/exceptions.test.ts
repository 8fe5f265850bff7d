// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../harness/root.js';
import { ATTACKS, exceptions } from './attacks.js';

test('SECURITY.md names each attack that gets through, and no other', () => {
  const text = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');
  const section = /^## Attacks that get through\n(.*?)^## /ms.exec(text)?.[1] ?? '';
  const items = [...section.matchAll(/^- (.*?):/gm)].map((match) => match[1] ?? '');
  const names = items.flatMap((item) => [...item.matchAll(/`([^`]+)`/g)].map((match) => match[1]));
  expect(names.sort()).toEqual(
    exceptions()
      .map((it) => it.name)
      .sort(),
  );
});

test('no two attacks have the same name', () => {
  const names = ATTACKS.map((it) => it.name);
  expect(new Set(names).size).toBe(names.length);
});
