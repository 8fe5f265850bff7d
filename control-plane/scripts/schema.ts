// SPDX-License-Identifier: Apache-2.0
//
// Writes the JSON Schema of policies, for editors, and the CustomResourceDefinitions, for Kubernetes. With --check it only tells
// which of them are older than the schema that they are made from.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { CRD_KINDS, crdFile, crdText } from '../src/policy/crd/crd.js';
import { jsonSchemaText } from '../src/policy/schema.js';

const CRDS = 'deploy/helm/cellwall/crds';
const files = new Map([
  ['docs/schema/cellwall-policy.schema.json', jsonSchemaText()],
  ...CRD_KINDS.map((kind) => [`${CRDS}/${crdFile(kind)}`, crdText(kind)] as const),
]);

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

if (process.argv.includes('--check')) {
  const stale = [...files].filter(([file, text]) => textOf(file) !== text).map(([file]) => file);
  for (const file of stale) console.error(`${file} is not what the schema makes: npm run schema`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(CRDS, { recursive: true });
  for (const [file, text] of files) writeFileSync(file, text);
}
