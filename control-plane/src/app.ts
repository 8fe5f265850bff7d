// SPDX-License-Identifier: Apache-2.0
//
// The composition root of the server.
import { randomUUID } from 'node:crypto';
import { Access } from './access/access.js';
import { KubernetesIdentity } from './access/kubernetes.js';
import { headText } from './audit/chain.js';
import { readConfig, type ServerOptions } from './config.js';
import { Agents } from './grpc/agents.js';
import { startGrpc } from './grpc/server.js';
import { Connections } from './http/connections.js';
import { startHttp } from './http/server.js';
import { TurnedAway } from './http/turned_away.js';
import { auditTo } from './identity/record.js';
import { startIdentity } from './identity/start.js';
import { KubernetesApi } from './kubernetes/api.js';
import { AuthorityMap } from './kubernetes/authority_map.js';
import { Informers } from './kubernetes/informers.js';
import { LIMITS, newCounts } from './limits.js';
import { createLogger } from './logger.js';
import { Rollout } from './rollout/rollout.js';
import { Staging } from './rollout/staging.js';
import { Store } from './store/store.js';

export type { ServerOptions } from './config.js';

export interface RunningServer {
  /** HOST:PORT */
  readonly grpcAddress: string;
  /** http://HOST:PORT or https://HOST:PORT */
  readonly httpAddress: string;
  /** For the first login, when there is no other way in: to be shown once. */
  readonly onceToken: string | null;
  /** Rejects when a storage thread has died: there is no way to go on. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** How far the audit log has come goes into the server's log, where who changes the one does not reach the other. */
const AUDIT_HEAD_MS = 3600_000;

/** Throws CellwallError: wrong options, a folder or a port that is in use. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const config = readConfig(options);
  const log = createLogger(options.logLevel);
  const store = new Store(
    {
      folder: config.dataFolder,
      retentionDays: config.retentionDays,
      rollUpDays: config.rollUpDays,
      maxBytes: config.maxBytes,
      query: config.query,
    },
    log,
  );
  const failed = new Promise<never>((_, reject) => store.once('failed', reject));
  failed.catch(() => {});
  const closing: (() => Promise<void>)[] = [() => store.close()];
  const close = async () => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    if (options.generationFrom !== undefined) await store.writer.call('raiseGeneration', options.generationFrom);
    const rollout = new Rollout(store, config.policy);
    await Promise.race([rollout.load(), failed]);
    const kubernetes = config.kubernetes && new KubernetesIdentity(new KubernetesApi(config.kubernetes));
    const access = new Access(store, { fileToken: config.httpToken, kubernetes }, log);
    const { cluster, networkPolicies } = config;
    const informers = cluster && new Informers(new KubernetesApi(cluster), store, rollout, log, { networkPolicies });
    const startedUs = Date.now() * 1000;
    const once = await access.load(startedUs);
    const identity = await startIdentity(
      config.tls,
      config.dataFolder,
      store,
      auditTo(store, access.denials, log),
      log,
      options.tlsLookMs,
    );
    const { trust, given } = identity;
    closing.push(async () => trust?.close());
    closing.push(async () => given?.close());
    const storeId = await store.writer.call('storeId', randomUUID());
    const agents = new Agents(store, rollout, identity.access, storeId, log);
    const http = await startHttp(config.http, identity.shown(), {
      store,
      rollout,
      staging: new Staging(store, rollout),
      agents,
      access,
      informers,
      limits: { ...LIMITS, ...config.limits },
      counts: newCounts(),
      connections: new Connections(),
      turnedAway: new TurnedAway(),
      selfApproval: config.selfApproval,
      log,
      dataFolder: config.dataFolder,
      startedUs,
    });
    closing.push(async () => access.close());
    closing.push(() => http.close());
    const grpc = await startGrpc(config.grpc, identity.forAgents, agents, log);
    closing.push(() => grpc.close());
    if (informers) {
      informers.start();
      closing.push(() => informers.close());
    }
    const tellHead = async () => log.info({ audit: headText(await store.writer.call('auditHead')) }, 'audit log');
    await tellHead();
    const telling = setInterval(() => tellHead().catch(() => {}), AUDIT_HEAD_MS).unref();
    closing.push(async () => clearInterval(telling));
    const map = config.tls?.kind === 'own' ? config.tls.authorityMap : undefined;
    const authority = map && new AuthorityMap(new KubernetesApi(map), map.name, log);
    if (authority) closing.push(() => authority.close());
    if (trust) authority?.publish(trust.bundle);
    given?.on('changed', () => {
      grpc.changed();
      http.show(given.current);
    });
    trust?.on('changed', () => {
      grpc.changed();
      http.show(trust.server);
      authority?.publish(trust.bundle);
    });
    log.info(
      { grpc: grpc.address, http: http.address, data: config.dataFolder, generation: rollout.generation },
      'listening',
    );
    return {
      grpcAddress: grpc.address,
      httpAddress: http.address,
      onceToken: once?.text ?? null,
      failed,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
