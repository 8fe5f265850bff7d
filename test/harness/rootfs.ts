// SPDX-License-Identifier: Apache-2.0
//
// Container images out of the Debian packages of this machine: no registry is asked.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { run, tryRun } from './run.js';

export interface ImageRecipe {
  readonly name: string;
  /** Programs of this machine; their libraries come along. */
  readonly programs: readonly string[];
  /** Static programs of our own, for /usr/local/bin. */
  readonly tools?: readonly string[];
  /** Files and folders of this machine. */
  readonly files?: readonly string[];
  /** Files of our own: path in the image, content. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Files and folders of this machine that are elsewhere in the image: path in the image, path here. */
  readonly copies?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly command: readonly string[];
}

const BASE_TEXTS = {
  '/etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\npostgres:x:999:999:postgres:/var/lib/postgresql:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n',
  '/etc/group': 'root:x:0:\nwww-data:x:33:\npostgres:x:999:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** Shared objects that a program or object is linked with, by path. */
function libraries(file: string): string[] {
  const { stdout } = tryRun('ldd', [file]);
  return [...stdout.matchAll(/(\/[^\s()]+)/g)]
    .map((match) => match[1] ?? '')
    .filter((path) => path !== file && existsSync(path));
}

function copyInto(root: string, path: string, to = path): void {
  const target = join(root, to);
  if (existsSync(target)) return;
  mkdirSync(dirname(target), { recursive: true });
  cpSync(realpathSync(path), target, { recursive: true, dereference: true });
}

function fill(root: string, recipe: ImageRecipe): void {
  for (const folder of [
    '/bin',
    '/usr/bin',
    '/tmp',
    '/run',
    '/var/lib',
    '/var/log',
    '/proc',
    '/sys',
    '/dev',
    '/etc',
    '/root',
  ])
    mkdirSync(join(root, folder), { recursive: true });
  for (const program of recipe.programs) {
    copyInto(root, program);
    for (const library of libraries(realpathSync(program))) copyInto(root, library);
  }
  for (const tool of recipe.tools ?? []) copyInto(root, tool, `/usr/local/bin/${basename(tool)}`);
  for (const file of recipe.files ?? []) {
    copyInto(root, file);
    if (file.endsWith('.so')) for (const library of libraries(file)) copyInto(root, library);
  }
  for (const [to, path] of Object.entries(recipe.copies ?? {})) {
    copyInto(root, path, to);
    if (statSync(path).isFile()) for (const library of libraries(path)) copyInto(root, library);
  }
  for (const [path, text] of Object.entries({ ...BASE_TEXTS, ...recipe.texts })) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  if (recipe.programs.includes('/bin/busybox')) {
    for (const applet of [
      'sh',
      'sleep',
      'cat',
      'ls',
      'su',
      'mkdir',
      'chown',
      'chmod',
      'ip',
      'wget',
      'rm',
      'echo',
      'true',
      'nc',
      'ps',
      'test',
      'touch',
    ])
      if (!existsSync(join(root, 'bin', applet))) symlinkSync('/bin/busybox', join(root, 'bin', applet));
  }
}

const sha256 = (data: Buffer | string) => createHash('sha256').update(data).digest('hex');

/** Writes an image that `ctr images import` reads (Docker's archive format); kept in the cache as long as its recipe and programs stay. */
export function buildImage(recipe: ImageRecipe, cache: string): string {
  const stamp = [...recipe.programs, ...(recipe.tools ?? []), ...(recipe.files ?? [])].map((file) =>
    existsSync(file) ? run('stat', ['-L', '-c', '%n %s %Y', file]) : `${file} is missing`,
  );
  // Folders that are built keep their own time when a file in them changes.
  for (const path of Object.values(recipe.copies ?? {}))
    stamp.push(sha256(run('find', ['-H', path, '-type', 'f', '-printf', '%P %s %T@\n'])));
  const target = join(
    cache,
    `${basename(recipe.name).replace(':', '-')}-${sha256(JSON.stringify([recipe, stamp])).slice(0, 16)}.tar`,
  );
  if (existsSync(target)) return target;
  for (const program of recipe.programs)
    if (!existsSync(program)) throw new Error(`${program} is missing; 'make setup' installs it`);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), 'cellwall-image-'));
  try {
    const root = join(work, 'root');
    mkdirSync(root);
    fill(root, recipe);
    run('tar', [
      '-C',
      root,
      '--numeric-owner',
      '--owner=0',
      '--group=0',
      '--sort=name',
      '-cf',
      join(work, 'layer.tar'),
      '.',
    ]);
    const config = JSON.stringify({
      architecture: run('dpkg', ['--print-architecture']).trim(),
      os: 'linux',
      config: {
        ...(recipe.entrypoint && { Entrypoint: recipe.entrypoint }),
        Cmd: recipe.command,
        Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(readFileSync(join(work, 'layer.tar')))}`] },
    });
    writeFileSync(join(work, 'config.json'), config);
    writeFileSync(
      join(work, 'manifest.json'),
      JSON.stringify([{ Config: 'config.json', RepoTags: [recipe.name], Layers: ['layer.tar'] }]),
    );
    // Another run may be making it too.
    const made = `${target}.${process.pid}`;
    run('tar', ['-C', work, '-cf', made, 'manifest.json', 'config.json', 'layer.tar']);
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}
