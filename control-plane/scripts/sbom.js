// SPDX-License-Identifier: Apache-2.0
//
// Standard input to standard output: what npm says, as SPDX 2.3 wants it. npm tells of a package once for each place where it is, under
// one id, which has to be there once, and has the package's own "_" in it, which is not allowed (6.2, 7.2).
import { readFileSync } from 'node:fs';

const unique = (items, keyOf) => [...new Map(items.map((it) => [keyOf(it), it])).values()];

const tidy = (id) => id.replace(/[^A-Za-z0-9.-]/g, '-');
const isId = (key, value) => /^(SPDXID|spdxElementId|relatedSpdxElement)$/.test(key) && typeof value === 'string';

const sbom = JSON.parse(readFileSync(0, 'utf8'), (key, value) => (isId(key, value) ? tidy(value) : value));
sbom.documentDescribes = sbom.documentDescribes?.map(tidy);
sbom.packages = unique(sbom.packages, ({ SPDXID }) => SPDXID);
sbom.relationships = unique(sbom.relationships, (it) => JSON.stringify(it));
process.stdout.write(`${JSON.stringify(sbom, null, 2)}\n`);
