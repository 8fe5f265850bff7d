// SPDX-License-Identifier: Apache-2.0
import { afterAll } from 'vitest';
import { type RunningServer, type ServerOptions, startServer } from '../app.js';
import { afterEachTest } from './after_each.js';
import { TestAgent } from './agent.js';
import { TOKEN, tokenFile } from './certificates.js';
import { keepFolders, removeFolders, temporaryFolder } from './folder.js';

const closing: (() => unknown)[] = [];

export function optionsFor(dataFolder: string): ServerOptions {
  return {
    dataFolder,
    grpcListen: '127.0.0.1:0',
    httpListen: '127.0.0.1:0',
    logLevel: 'silent',
    retentionDays: 30,
    maxBytes: 1e9,
  };
}

export interface TestServer extends RunningServer {
  readonly folder: string;
  agent(): TestAgent;
  /** Status and parsed body of an answer; as an admin, unless the headers say otherwise. */
  ask(path: string, init?: RequestInit): Promise<{ status: number; body: unknown }>;
}

/** A whole server on free ports, closed after the test. */
export async function testServer(folder = temporaryFolder(), more: Partial<ServerOptions> = {}): Promise<TestServer> {
  const server = await startServer({ ...optionsFor(folder), httpTokenFile: tokenFile(), ...more });
  let open = true;
  const close = async () => {
    if (!open) return;
    open = false;
    await server.close();
  };
  closing.push(close);
  return {
    ...server,
    folder,
    close,
    agent() {
      const agent = new TestAgent(server.grpcAddress);
      closing.push(() => agent.close());
      return agent;
    },
    async ask(path, init) {
      const headers = { authorization: `Bearer ${TOKEN}`, ...(init?.headers as Record<string, string> | undefined) };
      const response = await fetch(`${server.httpAddress}${path}`, { ...init, headers });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json');
      return { status: response.status, body: isJson ? JSON.parse(text) : text };
    },
  };
}

async function closeThem(them: (() => unknown)[]): Promise<void> {
  for (const close of them.splice(0).reverse()) await close();
}

/** One server for tests that change nothing: made by the first of them, closed after the last of the file. */
export function shared<T extends TestServer>(make: () => Promise<T>): () => Promise<T> {
  let server: Promise<T> | undefined;
  const own: (() => unknown)[] = [];
  const folders: string[] = [];
  afterAll(async () => {
    await closeThem(own);
    removeFolders(folders);
  });
  const begin = async () => {
    const made = await make();
    own.push(...closing.splice(0));
    folders.push(...keepFolders());
    return made;
  };
  return () => {
    server ??= begin();
    return server;
  };
}

afterEachTest(() => closeThem(closing));
