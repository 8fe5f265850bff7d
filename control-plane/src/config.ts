// SPDX-License-Identifier: Apache-2.0
//
// The options of the server, checked. The only place that reads the environment is cli/shared.ts.
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { CellwallError } from './errors.js';
import type { KubernetesOptions } from './kubernetes/api.js';
import type { NetworkPolicyMode } from './kubernetes/informers.js';
import type { Limits } from './limits.js';
import type { Level } from './logger.js';
import type { Network, PolicyOptions } from './policy/index.js';
// Not all of it: the command line reads this file at each start.
import { parseNetwork } from './policy/network.js';

export interface ServerOptions {
  readonly dataFolder: string;
  /** HOST:PORT; port 0: any free one. */
  readonly grpcListen: string;
  readonly httpListen: string;
  /** auto: given certificates, if some are given; own ones, if the server can be reached from outside; else none. */
  readonly tls?: TlsMode | undefined;
  /** Of the server, separated by commas, for a certificate of its own; the host's name and loopback are added. */
  readonly tlsNames?: string | undefined;
  /** Seconds that certificates of agents last. */
  readonly agentCertificateLife?: number | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** How often these files are looked at. */
  readonly tlsLookMs?: number | undefined;
  /** Agents have to show a certificate of this authority. */
  readonly tlsClientCa?: string | undefined;
  /** any: their certificates need not name the node. */
  readonly tlsClientNames?: 'node' | 'any' | undefined;
  /** NAMESPACE/NAME: agents in pods enrol with tokens of this service account. */
  readonly kubernetesAgents?: string | undefined;
  /** Whether the server keeps in step with Kubernetes. auto: where it is a pod with a service account. */
  readonly kubernetesMode?: KubernetesMode | undefined;
  /** audit: NetworkPolicies of Kubernetes are read as policies in that mode. */
  readonly networkPolicies?: NetworkPolicyMode | undefined;
  /** NAMESPACE/NAME of a ConfigMap that gets the authority's certificate. */
  readonly kubernetesAuthority?: string | undefined;
  readonly kubernetesApi?: string | undefined;
  readonly kubernetesAccount?: string | undefined;
  readonly httpTokenFile?: string | undefined;
  /** Tokens that are not ours are shown to the API server. */
  readonly kubernetesAuth?: boolean | undefined;
  readonly selfApproval?: boolean | undefined;
  readonly httpRate?: number | undefined;
  /** In place of those of limits.ts. */
  readonly limits?: Partial<Limits> | undefined;
  readonly querySeconds?: number | undefined;
  readonly queryRows?: number | undefined;
  /** The generation is set to this when it is smaller. */
  readonly generationFrom?: number | undefined;
  readonly logLevel: Level;
  readonly retentionDays: number;
  readonly rollupDays?: number | undefined;
  readonly maxBytes: number;
  /** Networks and addresses, separated by commas. */
  readonly clusterNetworks?: string | undefined;
  readonly apiServer?: string | undefined;
  readonly dnsServers?: string | undefined;
}

export const KUBERNETES_MODES = ['auto', 'on', 'off'] as const;
export type KubernetesMode = (typeof KUBERNETES_MODES)[number];

export interface Address {
  readonly host: string;
  readonly port: number;
}

export const TLS_MODES = ['auto', 'own', 'off'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

export interface GivenTls {
  readonly kind: 'given';
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly clientCa: Buffer | undefined;
  readonly anyName: boolean;
  /** Reads the files again. Throws what the first reading would. */
  reread(): GivenTls;
}

/** Certificates of our own authority. */
export interface OwnTls {
  readonly kind: 'own';
  readonly agentPods: (KubernetesOptions & { readonly account: string }) | undefined;
  readonly authorityMap: (KubernetesOptions & { readonly name: string }) | undefined;
  readonly names: readonly string[];
  readonly agentLifeMs: number;
}

export type Tls = GivenTls | OwnTls;

export interface ServerConfig {
  readonly dataFolder: string;
  readonly grpc: Address;
  readonly http: Address;
  readonly tls: Tls | undefined;
  readonly httpToken: string | undefined;
  readonly kubernetes: KubernetesOptions | undefined;
  /** undefined: the server keeps in step with no cluster. */
  readonly cluster: KubernetesOptions | undefined;
  readonly networkPolicies: NetworkPolicyMode;
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

const NAME =
  /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
const SHORTEST_LIFE_S = 30;
const LONGEST_LIFE_S = 90 * 86_400;
const DEFAULT_LIFE_S = 86_400;

function readApiServer(options: ServerOptions): KubernetesOptions {
  const { kubernetesApi: api = KUBERNETES.api, kubernetesAccount: folder = KUBERNETES.folder } = options;
  if (!/^https:\/\/[^/]+\/?$/.test(api)) refuse(`--kubernetes-api ${api}: give it as https://HOST:PORT`);
  return { api, folder };
}

function readCluster(options: ServerOptions): KubernetesOptions | undefined {
  const { kubernetesMode = 'auto', kubernetesAccount = KUBERNETES.folder } = options;
  const isPod = existsSync(join(kubernetesAccount, 'token'));
  return kubernetesMode === 'on' || (kubernetesMode === 'auto' && isPod) ? readApiServer(options) : undefined;
}

function readNetworkPolicies({ networkPolicies = 'off' }: ServerOptions, inCluster: boolean): NetworkPolicyMode {
  if (networkPolicies !== 'off' && !inCluster)
    refuse(`--network-policies ${networkPolicies}: they are read from Kubernetes; give --kubernetes on`);
  return networkPolicies;
}

/** NAMESPACE/NAME */
const OBJECT = /^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/;

function readAuthorityMap(options: ServerOptions): OwnTls['authorityMap'] {
  const { kubernetesAuthority: name } = options;
  if (name === undefined) return undefined;
  if (!OBJECT.test(name)) refuse(`--kubernetes-authority ${name}: give NAMESPACE/NAME of a ConfigMap`);
  return { ...readApiServer(options), name };
}

function readAgentPods(options: ServerOptions): OwnTls['agentPods'] {
  const { kubernetesAgents: account } = options;
  if (account === undefined) return undefined;
  if (!OBJECT.test(account))
    refuse(`--kubernetes-agents ${account}: give NAMESPACE/NAME of the agents' service account`);
  return { ...readApiServer(options), account };
}

function readOwnTls(options: ServerOptions, hosts: readonly string[]): OwnTls {
  const given = (options.tlsNames ?? '').split(',').map((name) => name.trim());
  const names = given.filter((name) => name !== '');
  for (const name of names)
    if (!NAME.test(name) && isIP(name) === 0) refuse(`--tls-names: "${name}" is neither a host name nor an address`);
  const found = [...hosts.filter((host) => host !== '0.0.0.0' && host !== '::'), hostname()];
  const own = found.filter((name) => NAME.test(name) || isIP(name) !== 0);
  const life = options.agentCertificateLife ?? DEFAULT_LIFE_S;
  if (life < SHORTEST_LIFE_S || life > LONGEST_LIFE_S)
    refuse(`--agent-certificate-life: give ${SHORTEST_LIFE_S}s to ${LONGEST_LIFE_S / 86_400}d`);
  return {
    kind: 'own',
    agentPods: readAgentPods(options),
    authorityMap: readAuthorityMap(options),
    names: [...new Set([...names, ...own, 'localhost', '127.0.0.1', '::1'])],
    agentLifeMs: life * 1000,
  };
}

function chooseTls(options: ServerOptions, grpc: Address, http: Address): Tls | undefined {
  const mode = options.tls ?? 'auto';
  const given = readGivenTls(options);
  if (given && mode !== 'auto') refuse(`--tls ${mode} and --tls-cert exclude each other`);
  if (given) return given;
  const isOutside = !isLoopback(grpc.host) || !isLoopback(http.host);
  if (mode === 'own' || (mode === 'auto' && isOutside)) return readOwnTls(options, [grpc.host, http.host]);
  return undefined;
}

function readGivenTls(options: ServerOptions): GivenTls | undefined {
  const { tlsCert, tlsKey, tlsClientCa } = options;
  if (!tlsCert && !tlsKey && !tlsClientCa) return undefined;
  if (!tlsCert || !tlsKey) return refuse('--tls-cert and --tls-key go together: one is missing');
  return givenTls(options, tlsCert, tlsKey);
}

function givenTls(options: ServerOptions, tlsCert: string, tlsKey: string): GivenTls {
  const { tlsClientCa } = options;
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
  const reread = () => givenTls(options, tlsCert, tlsKey);
  return { kind: 'given', cert, key, clientCa, anyName: options.tlsClientNames === 'any', reread };
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
  const tls = chooseTls(options, grpc, http);
  const httpToken = readToken(options.httpTokenFile);
  if (!isLoopback(grpc.host) && (!tls || (tls.kind === 'given' && !tls.clientCa)))
    refuse(
      `--grpc-listen ${options.grpcListen} can be reached from outside: give --tls-client-ca with --tls-cert and --tls-key, or none of them (--tls own), or listen on 127.0.0.1`,
    );
  if (!isLoopback(http.host) && !tls)
    refuse(
      `--http-listen ${options.httpListen} can be reached from outside: do not switch TLS off, or listen on 127.0.0.1`,
    );
  const cluster = readCluster(options);
  return {
    dataFolder: options.dataFolder,
    grpc,
    http,
    tls,
    httpToken,
    kubernetes: options.kubernetesAuth ? readApiServer(options) : undefined,
    cluster,
    networkPolicies: readNetworkPolicies(options, cluster !== undefined),
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
