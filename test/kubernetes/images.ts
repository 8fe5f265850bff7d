// SPDX-License-Identifier: Apache-2.0
//
// Images of the agent and of the server, out of what was built here and this machine's libraries. They stand in for those of
// deploy/images, whose base images are in a registry: the same programs at the same places, on another base.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT } from '../harness/cellwall.js';
import { CACHE, pauseImage, toolsImage } from '../harness/images.js';
import { ROOT } from '../harness/root.js';
import { buildImage, type ImageRecipe } from '../harness/rootfs.js';

export const NAMES_IMAGE = 'localhost/coredns:1';
export const REGISTRY = 'localhost/cellwall';
const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;

const agentImage = (): ImageRecipe => ({
  name: `${REGISTRY}/agent:${VERSION}`,
  programs: ['/bin/busybox'],
  copies: { '/usr/local/bin/cellwall-agent': AGENT },
  entrypoint: ['cellwall-agent'],
  command: [],
});

const namesImage = (): ImageRecipe => ({
  name: NAMES_IMAGE,
  programs: [],
  copies: { '/coredns': join(ROOT, 'build/kubernetes/bin/coredns') },
  entrypoint: ['/coredns'],
  command: [],
});

/** What `npm ci --omit=dev` would install. */
function packages(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean }>;
  };
  return Object.entries(lock.packages)
    .filter(([path, { dev, optional }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && !dev && !optional)
    .map(([path]) => path);
}

function serverImage(): ImageRecipe {
  const home = '/opt/cellwall';
  const parts = ['package.json', 'dist', ...packages()].map((path) => [`${home}/${path}`, join(ROOT, path)]);
  return {
    name: `${REGISTRY}/server:${VERSION}`,
    programs: ['/bin/busybox', process.execPath],
    copies: Object.fromEntries(parts) as Record<string, string>,
    entrypoint: [process.execPath, `${home}/dist/control-plane/src/cli/main.js`],
    command: [],
  };
}

/** Archives, by image. */
export function buildImages(): { archive: string; image: string; bytes: number }[] {
  return [pauseImage(), toolsImage(), namesImage(), agentImage(), serverImage()].map((recipe) => {
    const archive = buildImage(recipe, CACHE);
    return { archive, image: recipe.name, bytes: statSync(archive).size };
  });
}
