// SPDX-License-Identifier: Apache-2.0
//
// Writes what is made from the sources: the JSON Schema of policies, for editors, the CustomResourceDefinitions, and the plain
// manifests. With --check it only tells which of them are older than what they are made from.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { crdFile, crdText } from '../src/policy/crd/crd.js';
import { CRD_KINDS } from '../src/policy/crd/kinds.js';
import { jsonSchemaText } from '../src/policy/schema.js';
import { manifestsText, uninstallText } from '../src/testing/manifests.js';

const CRDS = 'deploy/helm/cellwall/crds';
const files = new Map([
  ['docs/schema/cellwall-policy.schema.json', jsonSchemaText()],
  ...CRD_KINDS.map((kind) => [`${CRDS}/${crdFile(kind)}`, crdText(kind)] as const),
]);

const manifests = new Map([
  ['deploy/manifests/cellwall.yaml', manifestsText],
  ['deploy/manifests/uninstall.yaml', uninstallText],
]);

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

if (process.argv.includes('--check')) {
  const all = [...files, ...[...manifests].map(([file, text]) => [file, text()] as const)];
  const stale = all.filter(([file, text]) => textOf(file) !== text).map(([file]) => file);
  for (const file of stale) console.error(`${file} is not what the schema makes: npm run schema`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(CRDS, { recursive: true });
  for (const [file, text] of files) writeFileSync(file, text);
  // Made from what was just written.
  for (const [file, text] of manifests) writeFileSync(file, text());
}
