// SPDX-License-Identifier: Apache-2.0
//
// What can be said of the images without building them (`make images` does).
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../version.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const BASE = '$' + '{BASE}';

/** One a line, without comments. */
const instructions = (text: string): string[] =>
  text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '');
/** The last stage is the image. */
const lastStage = (lines: readonly string[]): string[] =>
  lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
const packagesOf = (text: string) => text.split(/\s+/).filter((word) => /^[a-z0-9][a-z0-9+.-]+$/.test(word));

describe.each(['agent', 'server'])('the Containerfile of the %s', (image) => {
  const text = read(`deploy/images/${image}.Containerfile`);
  const lines = instructions(text);

  it('names no architecture', () => {
    for (const script of ['linked.sh', 'sbom.sh']) expect(read(`deploy/images/${script}`)).not.toMatch(/amd64|x86/i);
    expect(text).not.toMatch(/amd64|x86|\bx64\b/i);
  });

  it('takes base and version from outside, and labels itself with them', () => {
    expect(lines[0]).toMatch(/^ARG BASE=docker\.io\/library\/(debian|node):[\w-]+$/);
    const stages = lines.filter((line) => line.startsWith('FROM ')).map((line) => line.slice('FROM '.length));
    expect(stages).toEqual([`${BASE} AS build`, BASE]);
    expect(lines).toContain(`ARG VERSION=${VERSION}`);
    const labels = lastStage(lines).find((line) => line.startsWith('LABEL ')) ?? '';
    for (const label of ['title', 'description', 'licenses', 'version', 'revision', 'created', 'base.name'])
      expect(labels).toContain(`org.opencontainers.image.${label}=`);
  });

  it('copies what is there', () => {
    const copied = lines.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
    const sources = copied.flatMap((line) => line.split(' ').slice(1, -1));
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources)
      expect([source, existsSync(new URL(`../../../${source}`, import.meta.url))]).toEqual([source, true]);
  });

  it('reaches nothing but Debian and npm, leaves no lists behind, and lists its packages', () => {
    expect(text).not.toMatch(/\b(curl|wget|git clone|pip|https?:)/);
    const last = lastStage(lines).join('\n');
    if (last.includes('apt-get')) expect(last).toContain('rm -rf /var/lib/apt/lists/*');
    expect(last).toMatch(/sbom\.sh cellwall-\w+ .* >\/usr\/share\/doc\/cellwall\/debian\.spdx\.json/);
  });
});

it('the agent is built with packages that this machine needs for it, too', () => {
  const here = packagesOf(read('deploy/setup/packages.sh'));
  const install = instructions(read('deploy/images/agent.Containerfile')).find((line) => line.includes('--no-install'));
  const there = packagesOf(install?.split('--no-install-recommends')[1] ?? '').filter((it) => it !== 'ca-certificates');
  expect(there.length).toBeGreaterThan(10);
  expect(there.filter((it) => !here.includes(it) && it !== 'bpftool')).toEqual([]);
});

it('the server runs as nobody in particular, as in the chart', () => {
  const last = lastStage(instructions(read('deploy/images/server.Containerfile')));
  expect(last).toContain('USER 65532:65532');
  expect(read('deploy/helm/cellwall/templates/server.yaml')).toContain('runAsUser: 65532');
  expect(last.at(-1)).toBe('ENTRYPOINT ["cellwall"]');
});

it('everything that building the server reads is copied into its build', () => {
  const lines = instructions(read('deploy/images/server.Containerfile'));
  const scripts = (JSON.parse(read('package.json')) as { scripts: { build: string } }).scripts.build;
  const configurations = [...scripts.matchAll(/-p (tsconfig[\w.]*\.json)/g)].map(([, file]) => file as string);
  const copied = lines.filter((line) => line.startsWith('COPY ')).flatMap((line) => line.split(' ').slice(1, -1));
  expect(configurations.length).toBeGreaterThan(1);
  for (const file of [...configurations, 'tsconfig.json', 'package-lock.json', '.npmrc'])
    expect(copied).toContain(file);
});
