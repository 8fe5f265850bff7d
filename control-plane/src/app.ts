// SPDX-License-Identifier: Apache-2.0
//
// The composition root of the server.
import { randomUUID } from 'node:crypto';
import { readConfig, type ServerOptions } from './config.js';
import { Agents } from './grpc/agents.js';
import { startGrpc } from './grpc/server.js';
import { startHttp } from './http/server.js';
import { auditToLog } from './identity/record.js';
import { startIdentity } from './identity/start.js';
import { createLogger } from './logger.js';
import { Rollout } from './rollout/rollout.js';
import { Store } from './store/store.js';

export type { ServerOptions } from './config.js';

export interface RunningServer {
  /** HOST:PORT */
  readonly grpcAddress: string;
  /** http://HOST:PORT or https://HOST:PORT */
  readonly httpAddress: string;
  /** Rejects when a storage thread has died: there is no way to go on. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** Throws CellwallError: wrong options, a folder or a port that is in use. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const config = readConfig(options);
  const log = createLogger(options.logLevel);
  const store = new Store(
    { folder: config.dataFolder, retentionDays: config.retentionDays, maxBytes: config.maxBytes },
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
    const { trust, access, shown, forAgents } = await startIdentity(
      config.tls,
      config.dataFolder,
      store,
      auditToLog(log),
      log,
    );
    closing.push(async () => trust?.close());
    const storeId = await store.writer.call('storeId', randomUUID());
    const agents = new Agents(store, rollout, access, storeId, log);
    const context = { store, rollout, agents, log, dataFolder: config.dataFolder, startedUs: Date.now() * 1000 };
    const http = await startHttp(config.http, shown(), config.httpToken, context);
    closing.push(() => http.close());
    const grpc = await startGrpc(config.grpc, forAgents, agents, log);
    closing.push(() => grpc.close());
    trust?.on('changed', () => {
      grpc.changed();
      http.show(trust.server);
    });
    log.info(
      { grpc: grpc.address, http: http.address, data: config.dataFolder, generation: rollout.generation },
      'listening',
    );
    return { grpcAddress: grpc.address, httpAddress: http.address, failed, close };
  } catch (error) {
    await close();
    throw error;
  }
}
