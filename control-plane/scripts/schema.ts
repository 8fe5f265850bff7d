// SPDX-License-Identifier: Apache-2.0
//
// Writes the JSON Schema of policies, for editors. A test tells when it is older than the schema that it is made from.
import { writeFileSync } from 'node:fs';
import { jsonSchemaText } from '../src/policy/schema.js';

writeFileSync('docs/schema/cellwall-policy.schema.json', jsonSchemaText());
