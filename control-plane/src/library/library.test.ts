// SPDX-License-Identifier: Apache-2.0
//
// The package as who has installed it sees it: by its name, from what was built.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../testing/folder.js';

const PROGRAM = `
import { type Connection, evaluate, NO_OPTIONS, parseDocuments, simulate, type World, type WorldContainer } from 'cellwall';

const { policies, problems } = parseDocuments(\`
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web, namespace: shop}
spec:
  subject: {containers: [nginx]}
  egress: [{name: db, action: Accept, to: [{networks: [10.0.0.5]}]}]
\`, 'web.yaml');
if (problems.length > 0) throw new Error(problems.map((it) => it.where + ': ' + it.message).join());
const container: WorldContainer = {
  node: 'n', namespace: 'shop', pod: 'web', name: 'nginx', labels: {}, image: '', addresses: ['10.0.0.1'], ports: [],
};
const world: World = { policies, containers: [container], services: [], nodes: [], options: NO_OPTIONS };
const to = (address: string): Connection => ({ container, direction: 'egress', address, protocol: 6, port: 5432, names: [] });
const effect = simulate({ before: { ...world, policies: [] }, after: world, edges: [], sinceUs: 0, untilUs: 1 }, policies);
console.log(evaluate(world, to('10.0.0.5')).verdict, evaluate(world, to('10.0.0.6')).rule, effect.selects.containers);
`;

it('can be imported by its name, with types', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(resolve('.'), join(folder, 'node_modules/cellwall'));
  writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'main.ts'), PROGRAM);
  const flags = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--skipLibCheck', '--lib', 'es2023,dom'];
  const tsc = resolve('node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, ...flags, 'main.ts'], { cwd: folder });
  const said = execFileSync(process.execPath, ['main.js'], { cwd: folder, encoding: 'utf8' });
  expect(said).toBe('allowed (default deny) 1\n');
}, 120_000);
