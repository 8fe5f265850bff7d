// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for the API server of Kubernetes: lists in pages, watches with bookmarks, gives metadata alone, forgets versions (410), takes
// status and events, refuses what RBAC does not allow, and can be stopped and started again on the same port. It checks no objects.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { KubernetesOptions } from '../kubernetes/api.js';
import type { KubernetesObject } from '../kubernetes/resources.js';
import { afterEachTest } from './after_each.js';
import { certificates } from './certificates.js';
import { temporaryFolder } from './folder.js';

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubernetesObject;
}

interface Watch {
  readonly collection: string;
  readonly response: ServerResponse;
  readonly metadataOnly: boolean;
}

/** The form in which an answer is asked for. */
const FORM = /;as=(PartialObjectMetadata(?:List)?);g=meta\.k8s\.io;v=v1/;

/** /api/v1/pods, /apis/GROUP/VERSION/NAME. */
const PATH = /^(\/apis?\/(?:[^/]+\/)?v[^/]+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+)(\/status)?)?$/;

const open: StandInApi[] = [];

export class StandInApi {
  readonly options: KubernetesOptions;
  /** "METHOD /path" */
  readonly asked: string[] = [];
  readonly events: { metadata: { name: string }; reason: string; message: string; involvedObject: { name: string } }[] =
    [];
  /** Collections that RBAC does not allow. */
  readonly forbidden = new Set<string>();
  /** Collections of which metadata alone was asked for. */
  readonly metadataAsked = new Set<string>();
  /** Collections that are not served. */
  readonly missing = new Set<string>();
  pageSize = 500;
  readonly #collections = new Map<string, Map<string, KubernetesObject>>();
  readonly #changes = new Map<string, Change[]>();
  readonly #watches = new Set<Watch>();
  readonly #path = certificates();
  #version = 100;
  /** Versions before this one are forgotten. */
  #oldest = 0;
  #server: Server | undefined;
  readonly #sockets = new Set<Duplex>();
  #port = 0;

  private constructor(folder: string, port: number) {
    this.options = { api: `https://127.0.0.1:${port}`, folder };
    this.#port = port;
  }

  static async start(): Promise<StandInApi> {
    const folder = join(temporaryFolder(), 'account');
    mkdirSync(folder);
    writeFileSync(join(folder, 'token'), 'of the server\n');
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    await new Promise((done) => server.close(done));
    const api = new StandInApi(folder, port);
    writeFileSync(join(folder, 'ca.crt'), readFileSync(api.#path('ca.pem')));
    await api.startAgain();
    open.push(api);
    return api;
  }

  async startAgain(): Promise<void> {
    const tls = { cert: readFileSync(this.#path('server.pem')), key: readFileSync(this.#path('server.key')) };
    const server = createServer(tls, (request, response) => void this.#answer(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((done) => server.listen(this.#port, '127.0.0.1', done));
    this.#server = server;
  }

  /** All that is open is cut off. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    this.#watches.clear();
    const closed = new Promise((done) => server.close(done));
    // Those in the middle of a handshake, too.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** collection: pods, containerpolicies and so on. */
  put(collection: string, object: KubernetesObject): KubernetesObject {
    const all = this.#all(collection);
    const key = `${object.metadata?.namespace ?? ''}/${object.metadata?.name}`;
    const before = all.get(key);
    const changed = JSON.stringify(before?.spec) !== JSON.stringify(object.spec);
    const generation = (before?.metadata?.generation ?? 0) + (changed ? 1 : 0);
    const uid = before?.metadata?.uid ?? `uid-${this.#version}`;
    const metadata = { uid, ...object.metadata, generation, resourceVersion: String(++this.#version) };
    const stored = { ...object, metadata };
    all.set(key, stored);
    this.#tell(collection, { version: this.#version, type: before ? 'MODIFIED' : 'ADDED', object: stored });
    return stored;
  }

  remove(collection: string, namespace: string, name: string): void {
    const all = this.#all(collection);
    const object = all.get(`${namespace}/${name}`);
    if (!object || !all.delete(`${namespace}/${name}`)) return;
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    this.#tell(collection, { version: this.#version, type: 'DELETED', object: { ...object, metadata } });
  }

  get(collection: string, namespace: string, name: string): KubernetesObject | undefined {
    return this.#all(collection).get(`${namespace}/${name}`);
  }

  bookmark(collection: string): void {
    const object = { metadata: { resourceVersion: String(++this.#version) } };
    for (const watch of this.#watches)
      if (watch.collection === collection) watch.response.write(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Watches end, and what happened until now is forgotten. */
  compact(): void {
    this.#oldest = ++this.#version;
    this.#changes.clear();
    this.endWatches();
  }

  endWatches(): void {
    for (const { response } of this.#watches) response.end();
    this.#watches.clear();
  }

  watching(collection: string): number {
    return [...this.#watches].filter((it) => it.collection === collection).length;
  }

  #all(collection: string): Map<string, KubernetesObject> {
    const all = this.#collections.get(collection) ?? new Map<string, KubernetesObject>();
    this.#collections.set(collection, all);
    return all;
  }

  #tell(collection: string, change: Change): void {
    const changes = this.#changes.get(collection) ?? [];
    this.#changes.set(collection, changes);
    changes.push(change);
    for (const watch of this.#watches)
      if (watch.collection === collection) watch.response.write(lineOf(change, watch.metadataOnly));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.options.api);
    this.asked.push(`${request.method} ${url.pathname}${url.search}`);
    let text = '';
    for await (const part of request) text += String(part);
    const match = PATH.exec(url.pathname);
    const [, , namespace = '', collection = '', name, status] = match ?? [];
    if (!match || this.missing.has(collection)) return refuse(response, 404, 'the server could not find it');
    if (request.headers.authorization !== 'Bearer of the server') return refuse(response, 401, 'Unauthorized');
    if (this.forbidden.has(collection) || (status && this.forbidden.has(`${collection}/status`)))
      return refuse(response, 403, `${collection} is forbidden: User "cellwall" cannot do this`);
    if (request.method === 'POST') return this.#takeEvent(text, response);
    if (request.method === 'PATCH') return this.#takeStatus(collection, namespace, name ?? '', text, response);
    const isWatch = url.searchParams.get('watch') === 'true';
    const form = FORM.exec(request.headers.accept ?? '')?.[1];
    if (form !== undefined && form !== `PartialObjectMetadata${isWatch ? '' : 'List'}`)
      return refuse(response, 406, `only ${request.headers.accept}`);
    if (form !== undefined) this.metadataAsked.add(collection);
    if (isWatch) return this.#watch(collection, url, response, form !== undefined);
    return this.#list(collection, url, response, form !== undefined);
  }

  #takeEvent(text: string, response: ServerResponse): void {
    const event = JSON.parse(text);
    if (this.events.some(({ metadata }) => metadata.name === event.metadata.name)) {
      refuse(response, 409, `events "${event.metadata.name}" already exists`);
      return;
    }
    this.events.push(event);
    response.writeHead(201).end(text);
  }

  #takeStatus(collection: string, namespace: string, name: string, text: string, response: ServerResponse): void {
    const object = this.get(collection, namespace, name);
    if (!object) {
      refuse(response, 404, 'not found');
      return;
    }
    const { status } = JSON.parse(text) as { status: object };
    response.end(JSON.stringify(this.put(collection, { ...object, status })));
  }

  #list(collection: string, { searchParams }: URL, response: ServerResponse, metadataOnly: boolean): void {
    const from = Number(searchParams.get('continue') ?? 0);
    const all = [...this.#all(collection).values()];
    const items = all.slice(from, from + this.pageSize).map((it) => (metadataOnly ? onlyMetadata(it) : it));
    const next = from + items.length < all.length ? { continue: String(from + items.length) } : {};
    response.end(JSON.stringify({ metadata: { resourceVersion: String(this.#version), ...next }, items }));
  }

  #watch(collection: string, { searchParams }: URL, response: ServerResponse, metadataOnly: boolean): void {
    const since = Number(searchParams.get('resourceVersion'));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (since < this.#oldest) {
      response.end(
        `${JSON.stringify({ type: 'ERROR', object: { code: 410, message: 'too old resource version' } })}\n`,
      );
      return;
    }
    for (const change of this.#changes.get(collection) ?? [])
      if (change.version > since) response.write(lineOf(change, metadataOnly));
    const watch = { collection, response, metadataOnly };
    this.#watches.add(watch);
    const seconds = Number(searchParams.get('timeoutSeconds') ?? 3600);
    const ending = setTimeout(() => response.end(), seconds * 1000).unref();
    response.on('close', () => {
      clearTimeout(ending);
      this.#watches.delete(watch);
    });
  }
}

const onlyMetadata = ({ metadata }: KubernetesObject): KubernetesObject => ({
  apiVersion: 'meta.k8s.io/v1',
  kind: 'PartialObjectMetadata',
  ...(metadata && { metadata }),
});
const lineOf = ({ type, object }: Change, metadataOnly: boolean) =>
  `${JSON.stringify({ type, object: metadataOnly ? onlyMetadata(object) : object })}\n`;

function refuse(response: ServerResponse, code: number, message: string): void {
  response.writeHead(code).end(JSON.stringify({ kind: 'Status', status: 'Failure', code, message }));
}

afterEachTest(async () => {
  for (const api of open.splice(0)) await api.stop();
});
