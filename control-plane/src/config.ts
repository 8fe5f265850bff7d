// SPDX-License-Identifier: Apache-2.0
//
// The options of the server, checked. The only place that reads the environment is cli/shared.ts.
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { KubernetesOptions } from './access/kubernetes.js';
import { CellwallError } from './errors.js';
import type { Limits } from './limits.js';
import type { Level } from './logger.js';
import { type Network, type PolicyOptions, parseNetwork } from './policy/index.js';

export interface ServerOptions {
  readonly dataFolder: string;
  /** HOST:PORT; port 0: any free one. */
  readonly grpcListen: string;
  readonly httpListen: string;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Agents have to show a certificate of this authority. */
  readonly tlsClientCa?: string | undefined;
  readonly httpTokenFile?: string | undefined;
  /** Tokens that are not ours are shown to the API server. */
  readonly kubernetesAuth?: boolean | undefined;
  readonly kubernetesApi?: string | undefined;
  readonly kubernetesAccount?: string | undefined;
  readonly selfApproval?: boolean | undefined;
  readonly httpRate?: number | undefined;
  /** In place of those of limits.ts. */
  readonly limits?: Partial<Limits> | undefined;
  readonly querySeconds?: number | undefined;
  readonly queryRows?: number | undefined;
  readonly logLevel: Level;
  readonly retentionDays: number;
  readonly rollupDays?: number | undefined;
  readonly maxBytes: number;
  /** Networks and addresses, separated by commas. */
  readonly clusterNetworks?: string | undefined;
  readonly apiServer?: string | undefined;
  readonly dnsServers?: string | undefined;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
}

export interface ServerConfig {
  readonly dataFolder: string;
  readonly grpc: Address;
  readonly http: Address;
  readonly tls: Tls | undefined;
  readonly httpToken: string | undefined;
  readonly kubernetes: KubernetesOptions | undefined;
  readonly selfApproval: boolean;
  readonly limits: Partial<Limits>;
  readonly query: { readonly seconds: number; readonly rows: number };
  readonly retentionDays: number;
  readonly rollUpDays: number;
  readonly maxBytes: number;
  readonly policy: PolicyOptions;
}

/** As each pod of Kubernetes finds them. */
export const KUBERNETES: KubernetesOptions = {
  api: 'https://kubernetes.default.svc',
  folder: '/var/run/secrets/kubernetes.io/serviceaccount',
};
const MOST_NETWORKS = 1000;
const SHORTEST_TOKEN = 16;
/** Of one question to the store. */
const QUERY = { seconds: 10, rows: 20_000_000 };
/** Of sums by hour, which stay when the rows of their day go. */
const ROLL_UP_DAYS = 400;

function refuse(message: string): never {
  throw new CellwallError('invalid_option', message);
}

function parseAddress(text: string, option: string): Address {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<host>[^:[\]]+)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  if (!match || port > 65535) refuse(`${option} ${text}: give HOST:PORT, such as 127.0.0.1:7481`);
  return { host: match.groups?.v6 ?? match.groups?.host ?? '', port };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

function read(file: string, option: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    return refuse(`${option} ${file}: ${(error as Error).message}`);
  }
}

function readTls(options: ServerOptions): Tls | undefined {
  const { tlsCert, tlsKey, tlsClientCa } = options;
  if (!tlsCert && !tlsKey && !tlsClientCa) return undefined;
  if (!tlsCert || !tlsKey) return refuse('--tls-cert and --tls-key go together: one is missing');
  const cert = read(tlsCert, '--tls-cert');
  const key = read(tlsKey, '--tls-key');
  if (!cert.includes('BEGIN CERTIFICATE')) refuse(`--tls-cert ${tlsCert} holds no certificate in PEM form`);
  if (!key.includes('PRIVATE KEY')) refuse(`--tls-key ${tlsKey} holds no private key in PEM form`);
  const clientCa = tlsClientCa ? read(tlsClientCa, '--tls-client-ca') : undefined;
  try {
    createSecureContext({ cert, key, ...(clientCa && { ca: clientCa }) });
  } catch (error) {
    refuse(`--tls-cert ${tlsCert} and --tls-key ${tlsKey} cannot be used: ${(error as Error).message}`);
  }
  return { cert, key, clientCa };
}

function readToken(file: string | undefined): string | undefined {
  if (!file) return undefined;
  const token = read(file, '--http-token-file').toString('utf8').trim();
  if (token.length < SHORTEST_TOKEN)
    refuse(`--http-token-file ${file}: a token has at least ${SHORTEST_TOKEN} characters`);
  return token;
}

function positive(value: number, option: string): number {
  if (!Number.isSafeInteger(value) || value < 1) refuse(`${option} ${value}: give a whole number from 1`);
  return value;
}

function readKubernetes(options: ServerOptions): KubernetesOptions | undefined {
  if (!options.kubernetesAuth) return undefined;
  const { kubernetesApi: api = KUBERNETES.api, kubernetesAccount: folder = KUBERNETES.folder } = options;
  if (!/^https:\/\/[^/]+\/?$/.test(api)) refuse(`--kubernetes-api ${api}: give it as https://HOST:PORT`);
  return { api, folder };
}

function readNetworks(text: string | undefined, option: string): Network[] {
  const parts = (text ?? '').split(',').map((part) => part.trim());
  const given = parts.filter((part) => part !== '');
  if (given.length > MOST_NETWORKS) refuse(`${option}: has more than ${MOST_NETWORKS} networks`);
  return given.map((part) => {
    const network = parseNetwork(part);
    return typeof network === 'string' ? refuse(`${option}: ${network}`) : network;
  });
}

/** Plain text stays on this machine; anything else needs TLS; agents show a certificate, people always a token. */
export function readConfig(options: ServerOptions): ServerConfig {
  const grpc = parseAddress(options.grpcListen, '--grpc-listen');
  const http = parseAddress(options.httpListen, '--http-listen');
  const tls = readTls(options);
  const httpToken = readToken(options.httpTokenFile);
  if (!isLoopback(grpc.host) && !tls?.clientCa)
    refuse(
      `--grpc-listen ${options.grpcListen} can be reached from outside: give --tls-cert, --tls-key and --tls-client-ca, or listen on 127.0.0.1`,
    );
  if (!isLoopback(http.host) && !tls)
    refuse(
      `--http-listen ${options.httpListen} can be reached from outside: give --tls-cert and --tls-key, or listen on 127.0.0.1`,
    );
  return {
    dataFolder: options.dataFolder,
    grpc,
    http,
    tls,
    httpToken,
    kubernetes: readKubernetes(options),
    selfApproval: options.selfApproval ?? false,
    limits: {
      ...(options.httpRate !== undefined && { requestsPerSecond: positive(options.httpRate, '--http-rate') }),
      ...options.limits,
    },
    query: {
      seconds: positive(options.querySeconds ?? QUERY.seconds, '--query-seconds'),
      rows: positive(options.queryRows ?? QUERY.rows, '--query-rows'),
    },
    retentionDays: positive(options.retentionDays, '--retention-days'),
    rollUpDays: positive(options.rollupDays ?? ROLL_UP_DAYS, '--rollup-days'),
    maxBytes: positive(options.maxBytes, '--max-bytes'),
    policy: {
      clusterNetworks: readNetworks(options.clusterNetworks, '--cluster-networks'),
      apiServer: readNetworks(options.apiServer, '--api-server'),
      dnsServers: readNetworks(options.dnsServers, '--dns-servers'),
    },
  };
}
