// SPDX-License-Identifier: Apache-2.0
//
// Who may use whom, as ARCHITECTURE.md says: checked on the imports of every source file.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = import.meta.dirname;

interface Import {
  /** Relative to src. */
  readonly from: string;
  /** A path relative to src without its ending, or the name of a package. */
  readonly to: string;
  readonly how: 'static' | 'types' | 'later';
}

function sources(): string[] {
  return readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
    (file) =>
      file.endsWith('.ts') && !file.endsWith('.d.ts') && !file.endsWith('.test.ts') && !file.startsWith('testing/'),
  );
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const found = text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm);
  return [...found].map((match) => {
    const name = match[1] ?? match[2] ?? match[3] ?? '';
    const isLocal = name.startsWith('.');
    const to = isLocal ? relative('.', normalize(join(dirname(file), name))).replace(/\.js$/, '') : name;
    const how = match[3] ? 'later' : /^(import|export) type /.test(match[0]) ? 'types' : 'static';
    return { from: file, to, how };
  });
}

const ALL = sources().flatMap(importsOf);
const inFolder = (file: string, ...folders: string[]) => folders.some((folder) => file.startsWith(`${folder}/`));
const shown = (imports: Import[]) => imports.map(({ from, to }) => `${from} -> ${to}`);

it('reads imports of every kind', () => {
  expect(shown(ALL)).toEqual(
    expect.arrayContaining([
      'app.ts -> store/store',
      'policy/index.ts -> policy/compile/compiler',
      'ingest/wire.ts -> grpc/generated/agent',
      'cli/commands/server.ts -> app',
    ]),
  );
});

it('policy and flows do no input or output', () => {
  const pure = ['ipaddr.js', 'node:util', 'yaml', 'zod'];
  const wrong = ALL.filter(
    ({ from, to }) =>
      inFolder(from, 'policy', 'flows') && !inFolder(to, 'policy', 'flows') && to !== 'errors' && !pure.includes(to),
  );
  expect(shown(wrong)).toEqual([]);
});

it('what learns from flows does no input or output either', () => {
  const wrong = ALL.filter(
    ({ from, to }) => inFolder(from, 'learn') && !inFolder(to, 'learn', 'policy', 'flows') && to !== 'yaml',
  );
  expect(shown(wrong)).toEqual([]);
});

it('the chain of the audit log can be proved without a server', () => {
  const wrong = ALL.filter(({ from, to }) => inFolder(from, 'audit') && to !== 'node:crypto');
  expect(shown(wrong)).toEqual([]);
});

it('only the store knows the database', () => {
  expect(shown(ALL.filter(({ from, to }) => to === 'better-sqlite3' && !inFolder(from, 'store')))).toEqual([]);
  const sql = sources().filter(
    (file) =>
      !inFolder(file, 'store') &&
      /\.prepare\(|\b(SELECT|INSERT INTO|UPDATE|DELETE FROM) /.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  expect(sql).toEqual([]);
});

it('only grpc and ingest see generated types and gRPC', () => {
  const wrong = ALL.filter(
    ({ from, to }) =>
      (inFolder(to, 'grpc/generated') ||
        to === 'ingest/wire' ||
        to.startsWith('@grpc/') ||
        to.startsWith('protobufjs')) &&
      !inFolder(from, 'grpc', 'ingest'),
  );
  expect(shown(wrong)).toEqual([]);
});

it('only http knows the web framework, and nothing behind it knows http', () => {
  const wrong = ALL.filter(
    ({ from, to }) =>
      (/^(hono|@hono|prom-client)(\/|$)/.test(to) && !inFolder(from, 'http')) ||
      (inFolder(to, 'http') && !inFolder(from, 'http') && from !== 'app.ts'),
  );
  expect(shown(wrong)).toEqual([]);
});

it('the CLI speaks HTTP: of the server it uses pure code, what starts it, and what works on its folder while it is off', () => {
  const shared = [
    'errors',
    'version',
    'config',
    'duration',
    'logger',
    'http_request',
    'policy/index',
    'policy/foreign/index',
    'audit/chain',
    'access/roles',
  ];
  const wrong = ALL.filter(
    ({ from, to }) =>
      inFolder(from, 'cli') &&
      !inFolder(to, 'cli', 'flows') &&
      sources().includes(`${to}.ts`) &&
      !shared.includes(to) &&
      !(from === 'cli/commands/server.ts' && to === 'app') &&
      !(['cli/commands/backup.ts', 'cli/commands/restore.ts'].includes(from) && to.startsWith('store/backup/')) &&
      !(from === 'cli/offline.ts' && to === 'offline'),
  );
  expect(shown(wrong)).toEqual([]);
});

it('a command that knows nothing of policies starts without reading them', () => {
  const read = new Set(['cli/main']);
  for (const file of read)
    for (const { from, to, how } of ALL) if (`${file}.ts` === from && how === 'static') read.add(to);
  const slow = ['zod', 'yaml', 'policy/index', 'hyparquet-writer', 'better-sqlite3', '@grpc/grpc-js', 'hono'];
  expect(slow.filter((it) => read.has(it))).toEqual([]);
  expect(read).toContain('cli/commands/flows');
});

it('the environment is read in one place, by the CLI', () => {
  const readers = sources().filter((file) => readFileSync(join(ROOT, file), 'utf8').includes('process.env'));
  expect(readers.every((file) => inFolder(file, 'cli')) && readers.length <= 2).toBe(true);
});
