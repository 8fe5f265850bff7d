// SPDX-License-Identifier: Apache-2.0
//
// Runs what is in an image, as runc does, with a root file system that is read-only and without capabilities:
//   node deploy/images/try.js agent|server ROOT_FILE_SYSTEM
// The server has to answer /healthz as user 65532; the agent, to say its version and its options, with all of its libraries there.
// Documents of its packages have to be whole, and what built it must not be in it. Fails with what is wrong.
import { execFileSync, spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [image, root] = process.argv.slice(2);
const USER = 65532;
const PATIENCE_MS = 60_000;
const SBOMS = '/usr/share/doc/cellwall';
const BUILDERS = ['cc', 'c++', 'clang', 'ld', 'make', 'cmake', 'ninja', 'python3', 'git', 'curl', 'wget'];
// Folders of the image, where building it leaves what nobody needs.
const CACHES = ['/var/lib/apt/lists', '/var/cache/apt', '/root/.npm', '/root/.cache', '/src'];
const folder = mkdtempSync(join(tmpdir(), 'cellwall-image-'));
const say = (text) => process.stdout.write(`image ${image}: ${text}\n`);

/** A bundle of runc: the host's network, everything else its own. */
function bundle(args, user) {
  const path = mkdtempSync(join(folder, 'bundle-'));
  const data = join(folder, 'data');
  mkdirSync(data, { recursive: true });
  chownSync(data, user, user);
  const mount = (destination, type, options = []) => ({ destination, type, source: type, options });
  const config = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: user, gid: user },
      args,
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'NODE_ENV=production'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: resolve(root), readonly: true },
    mounts: [
      mount('/proc', 'proc'),
      mount('/dev', 'tmpfs', ['nosuid', 'mode=755']),
      { destination: '/var/lib/cellwall', type: 'bind', source: data, options: ['rbind', 'rw'] },
    ],
    linux: {
      cgroupsPath: `/cellwall-image-${process.pid}`,
      namespaces: ['pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
    },
  };
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  return path;
}

let count = 0;
const runc = (...args) => ['--root', join(folder, 'runc'), ...args];
const start = (args, user) => {
  const id = `cellwall-image-${process.pid}-${++count}`;
  return { id, args: runc('run', '--bundle', bundle(args, user), id) };
};

function run(args, user = USER) {
  return execFileSync('runc', start(args, user).args, { encoding: 'utf8', timeout: PATIENCE_MS });
}

function isReadOnly() {
  const text = run(['sh', '-c', 'touch /etc/written 2>&1 || true'], 0);
  if (!/Read-only file system/.test(text)) throw new Error(`the root file system can be written to: ${text}`);
}

function tryAgent() {
  const libraries = run(['ldd', '/usr/local/bin/cellwall-agent']);
  if (/not found/.test(libraries)) throw new Error(`libraries are missing:\n${libraries}`);
  const found = libraries.split('\n').filter((line) => line.includes('=> /')).length;
  if (found < 5) throw new Error(`the agent links hardly anything:\n${libraries}`);
  const version = run(['cellwall-agent', 'version']).trim();
  if (!run(['cellwall-agent', '--help']).includes('--server')) throw new Error('the agent does not say its options');
  say(`${version} runs read-only, with ${found} libraries`);
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function tryServer() {
  const version = run(['cellwall', '--version']).trim();
  const port = await freePort();
  const options = ['--tls', 'off', '--grpc-listen', '127.0.0.1:0', '--http-listen', `127.0.0.1:${port}`];
  const command = ['cellwall', 'server', '--data', '/var/lib/cellwall', '--kubernetes', 'off', ...options];
  const { id, args } = start(command, USER);
  const server = spawn('runc', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (part) => (said += part));
  const ended = new Promise((done) => server.on('exit', done));
  try {
    for (const endMs = Date.now() + PATIENCE_MS; ; await sleep(200)) {
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
      if (answer?.ok) break;
      if (server.exitCode !== null || Date.now() > endMs)
        throw new Error(`the server does not answer /healthz:\n${said}`);
    }
    say(`${version} answers /healthz read-only, as user ${USER}`);
  } finally {
    try {
      execFileSync('runc', runc('kill', id, 'TERM'), { stdio: 'ignore' });
    } catch {
      // It has ended by itself.
    }
    await ended;
  }
}

/** What SPDX 2.3 asks of a document and of packages. */
function checkSbom(file) {
  const sbom = JSON.parse(readFileSync(join(root, file), 'utf8'));
  const fail = (why) => {
    throw new Error(`${file}: ${why}`);
  };
  if (sbom.spdxVersion !== 'SPDX-2.3' || sbom.dataLicense !== 'CC0-1.0') fail('it is not SPDX 2.3');
  for (const name of ['SPDXID', 'name', 'documentNamespace', 'creationInfo']) if (!sbom[name]) fail(`no ${name}`);
  const ids = new Set([sbom.SPDXID]);
  for (const { SPDXID, name, downloadLocation } of sbom.packages) {
    if (!/^SPDXRef-[A-Za-z0-9.-]+$/.test(SPDXID) || ids.has(SPDXID)) fail(`the id ${SPDXID} is wrong, or there twice`);
    if (!name || !downloadLocation) fail(`${SPDXID} lacks what each has to have`);
    ids.add(SPDXID);
  }
  for (const { spdxElementId, relatedSpdxElement } of sbom.relationships)
    for (const id of [spdxElementId, relatedSpdxElement]) if (!ids.has(id)) fail(`${id} is not there`);
  say(`${sbom.packages.length - 1} packages in ${file}`);
}

function checkSboms() {
  const files = readdirSync(join(root, SBOMS)).filter((name) => name.endsWith('.spdx.json'));
  if (files.length === 0) throw new Error(`there is no SBOM in ${SBOMS}`);
  for (const name of files) checkSbom(join(SBOMS, name));
}

function checkInstalled() {
  const { packages } = JSON.parse(readFileSync(join(root, SBOMS, 'npm.spdx.json'), 'utf8'));
  const listed = new Set(packages.map(({ name }) => name));
  const at = join(root, '/opt/cellwall/node_modules');
  const installed = readdirSync(at).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(at, name)).map((it) => `${name}/${it}`) : [name],
  );
  const missing = installed.filter((name) => !name.startsWith('.') && !listed.has(name));
  if (missing.length > 0) throw new Error(`npm.spdx.json lacks ${missing.join(', ')}`);
}

/** A lock, which is empty, does not count. */
const holdsFiles = (path) =>
  readdirSync(path, { recursive: true, withFileTypes: true }).some(
    (it) => it.isFile() && statSync(join(it.parentPath, it.name)).size > 0,
  );

function isLean() {
  // Most of them are links, which would lead out of the image.
  const isThere = (path) => lstatSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
  const builders = BUILDERS.filter((name) => isThere(`/usr/bin/${name}`) || isThere(`/usr/local/bin/${name}`));
  const caches = CACHES.filter((path) => existsSync(join(root, path)) && holdsFiles(join(root, path)));
  if (builders.length + caches.length > 0)
    throw new Error(`what built it is in it: ${[...builders, ...caches].join(', ')}`);
}

try {
  checkSboms();
  isLean();
  isReadOnly();
  if (image === 'agent') tryAgent();
  else {
    checkInstalled();
    await tryServer();
  }
} catch (error) {
  process.stderr.write(`image ${image}: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
