// SPDX-License-Identifier: Apache-2.0
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Address, Tls } from '../config.js';
import { CellwallError } from '../errors.js';
import type { Agents } from './agents.js';
import { AGENT_SERVICE } from './frames.js';

/** A batch of 1,024 flows is some 100 KiB; a report of 40,000 open flows 4 MiB. */
const LARGEST_MESSAGE = 16 << 20;

function credentials(tls: Tls | undefined): ServerCredentials {
  if (!tls) return ServerCredentials.createInsecure();
  return ServerCredentials.createSsl(
    tls.clientCa ?? null,
    [{ cert_chain: tls.cert, private_key: tls.key }],
    tls.clientCa !== undefined,
  );
}

export interface GrpcServer {
  readonly address: string;
  close(): Promise<void>;
}

export async function startGrpc(listen: Address, tls: Tls | undefined, agents: Agents): Promise<GrpcServer> {
  // It writes lines of its own beside our log; what goes wrong is in the errors too.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({ 'grpc.max_receive_message_length': LARGEST_MESSAGE, 'grpc.so_reuseport': 0 });
  server.addService(AGENT_SERVICE, { stream: agents.accept });
  const health = new HealthImplementation({ '': 'SERVING', 'cellwall.v1.AgentService': 'SERVING' });
  health.addToServer(server);
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${listen.port}`, credentials(tls), (error, bound) => {
      if (error) reject(new CellwallError('cannot_listen', `--grpc-listen ${host}:${listen.port}: ${error.message}`));
      else resolve(bound);
    });
  });
  return {
    address: `${host}:${port}`,
    close: async () => {
      agents.close();
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => server.forceShutdown(), 1000);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      });
    },
  };
}
