// SPDX-License-Identifier: Apache-2.0
//
// Makes the static protobuf code of the wire contract, for tsc and for node. Does nothing when it is newer than its source.
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';

const sources = ['proto/cellwall/v1/agent.proto', 'proto/cellwall/v1/enrolment.proto'];
const folder = 'control-plane/src/grpc/generated';
const script = `${folder}/agent.js`;
const types = `${folder}/agent.d.ts`;

const age = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (sources.every((source) => age(script) > age(source) && age(types) > age(source))) process.exit(0);

const run = (tool, args) =>
  execFileSync(process.execPath, [`node_modules/protobufjs-cli/bin/${tool}`, ...args], { encoding: 'utf8' });
mkdirSync(folder, { recursive: true });
// Numbers, not Long objects: values beyond 2^53 are refused where they are decoded (ingest/decode.ts).
const shape = ['--no-delimited', '--no-verify', '--no-beautify', '--force-number'];
const code = run('pbjs', ['-t', 'static-module', '-w', 'es6', ...shape, '-p', 'proto', ...sources]);
writeFileSync(script, code);
writeFileSync(types, run('pbts', [script]));
