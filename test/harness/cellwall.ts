// SPDX-License-Identifier: Apache-2.0
//
// The real server, agent and command line, as processes.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Flow } from '../../control-plane/src/flows/record.js';
import { httpRequest } from '../../control-plane/src/http_request.js';
import { ROOT } from './root.js';
import { Background, run, tryRun, until } from './run.js';

export const CLI = join(ROOT, 'dist/control-plane/src/cli/main.js');
export const AGENT = join(ROOT, 'build/agent/cellwall-agent');

/** On a machine that is busy with something else. */
const START_MS = 180_000;
const KEPT = 'cellwall/credentials.json';

/** As a person does: the one-time token is exchanged at the first start, and what came of it is used after that. */
function logIn(server: string, config: string, ca: string, once: string | undefined): string {
  const env = { ...process.env, XDG_CONFIG_HOME: config, CELLWALL_TOKEN: '', CELLWALL_CA: ca };
  if (once) run('node', [CLI, 'login', '--server', server, '--token-stdin'], { input: once, env });
  const file = join(config, KEPT);
  if (!existsSync(file)) return '';
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { token: string }>;
  return Object.values(kept).at(-1)?.token ?? '';
}

export class ServerProcess {
  readonly process: Background;
  readonly grpc: string;
  readonly http: string;
  /** Of the admin that has logged in; empty where the server has a token file. */
  readonly token: string;
  /** Its own authority, if it has one: a file; empty otherwise. */
  readonly ca: string;

  private constructor(process: Background, grpc: string, http: string, token: string, ca: string) {
    this.process = process;
    this.grpc = grpc;
    this.http = http;
    this.token = token;
    this.ca = ca;
  }

  static async start(
    data: string,
    log: string,
    options: { grpc?: string; http?: string; extra?: readonly string[] } = {},
  ): Promise<ServerProcess> {
    const { grpc = '127.0.0.1:0', http = '127.0.0.1:0', extra = [] } = options;
    const before = existsSync(log) ? readFileSync(log, 'utf8').length : 0;
    const process = new Background(
      'node',
      [CLI, 'server', '--data', data, '--grpc-listen', grpc, '--http-listen', http, ...extra],
      log,
    );
    const listening = await until(
      'the server listens',
      () => {
        if (!existsSync(log)) return undefined;
        const lines = readFileSync(log, 'utf8').slice(before).split('\n');
        if (!process.running) throw new Error(lines.slice(-3).join('\n'));
        return lines.find((line) => line.includes('"msg":"listening"'));
      },
      START_MS,
    ).catch(async (error: unknown) => {
      await process.stop();
      throw error;
    });
    const said = JSON.parse(listening) as { grpc: string; http: string };
    const config = `${data}.config`;
    const once = () => /cellwall_once_\w+/.exec(readFileSync(log, 'utf8').slice(before))?.[0];
    const isFirst = !existsSync(join(config, KEPT)) && !extra.includes('--http-token-file');
    const own = join(data, 'ca/authority.pem');
    const ca = said.http.startsWith('https:') && existsSync(own) ? own : '';
    const token = logIn(
      said.http,
      config,
      ca,
      isFirst ? await until('the one-time token is printed', once) : undefined,
    );
    return new ServerProcess(process, said.grpc, said.http, token, ca);
  }

  /** Runs the command line against this server. */
  cli(...args: string[]): { code: number; stdout: string; stderr: string } {
    return tryRun('node', [CLI, ...args, '--server', this.http], { CELLWALL_TOKEN: this.token, CELLWALL_CA: this.ca });
  }

  async fetch(
    path: string,
    init: { method?: string; body?: string; headers?: Record<string, string> } = {},
  ): Promise<Response> {
    // The command line blocks this process, and the server closes what is idle meanwhile: no connection is used again.
    const headers = { ...init.headers, authorization: `Bearer ${this.token}`, connection: 'close' };
    const url = new URL(path, this.http);
    if (!this.ca) return fetch(url, { ...init, headers });
    const ca = readFileSync(this.ca, 'utf8');
    const answer = await httpRequest(url, { method: init.method ?? 'GET', headers, body: init.body, ca });
    return new Response(await answer.text(), { status: answer.status });
  }

  async get<T>(path: string): Promise<T> {
    const response = await this.fetch(path);
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async send<T>(method: string, path: string, body?: object): Promise<T> {
    const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const response = await this.fetch(path, { method, ...json });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async put<T>(path: string, body: string): Promise<T> {
    const response = await this.fetch(path, { method: 'PUT', body });
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Every flow that matches, page after page. */
  async allFlows(query = ''): Promise<Flow[]> {
    const flows: Flow[] = [];
    let cursor: string | null = null;
    do {
      const page: { flows: Flow[]; nextCursor: string | null } = await this.get(
        `/v1/flows?limit=1000&${query}${cursor ? `&cursor=${cursor}` : ''}`,
      );
      flows.push(...page.flows);
      cursor = page.nextCursor;
    } while (cursor);
    return flows;
  }
}

export interface AgentOptions {
  readonly cgroup: string;
  readonly pins: string;
  readonly server: string;
  readonly criSocket: string;
  readonly dockerSocket?: string;
  readonly podmanSocket?: string;
  readonly state: string;
  readonly node: string;
  /** Of the node. */
  readonly networkNamespace?: string;
  readonly log: string;
  readonly extra?: readonly string[];
}

export function startAgent(options: AgentOptions): Background {
  const args = [
    '--cgroup',
    options.cgroup,
    '--pin-directory',
    options.pins,
    '--server',
    options.server,
    '--cri-socket',
    options.criSocket,
    // Never the ones of this machine.
    '--docker-socket',
    options.dockerSocket ?? '',
    '--podman-socket',
    options.podmanSocket ?? '',
    '--state-directory',
    options.state,
    '--node',
    options.node,
    ...(options.networkNamespace ? ['--network-namespace', options.networkNamespace] : []),
    ...(options.extra ?? []),
  ];
  return new Background(AGENT, args, options.log);
}

/** What was lost, by reason; {}: nothing. */
export const lossesIn = (lost: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(lost).filter(([, count]) => count > 0));
