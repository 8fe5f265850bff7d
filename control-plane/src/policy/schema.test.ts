// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { KINDS } from './model.js';
import { jsonSchemaText } from './schema.js';

const FILE = join(import.meta.dirname, '../../../docs/schema/cellwall-policy.schema.json');

test('the JSON Schema for editors is that of this version (npm run schema writes it)', () => {
  expect(readFileSync(FILE, 'utf8')).toBe(jsonSchemaText());
});

test('the JSON Schema knows all kinds, the fields of rules, and refuses others', () => {
  const { anyOf } = JSON.parse(jsonSchemaText()) as { anyOf: { properties: Record<string, { const?: string }> }[] };
  expect(anyOf.map(({ properties }) => properties.kind?.const)).toEqual([...KINDS]);
  expect(jsonSchemaText()).toContain('"domainNames"');
  expect(anyOf.every((kind) => 'additionalProperties' in kind && kind.additionalProperties === false)).toBe(true);
});
