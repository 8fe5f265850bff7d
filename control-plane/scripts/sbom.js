// SPDX-License-Identifier: Apache-2.0
//
// Standard input to standard output: npm tells of a package once for each place where it is, under one id; SPDX 2.3 wants an id once.
import { readFileSync } from 'node:fs';

const unique = (items, keyOf) => [...new Map(items.map((it) => [keyOf(it), it])).values()];

const sbom = JSON.parse(readFileSync(0, 'utf8'));
sbom.packages = unique(sbom.packages, ({ SPDXID }) => SPDXID);
sbom.relationships = unique(sbom.relationships, (it) => JSON.stringify(it));
process.stdout.write(`${JSON.stringify(sbom, null, 2)}\n`);
