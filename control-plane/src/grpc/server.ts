// SPDX-License-Identifier: Apache-2.0
//
// The port for agents: in plain text on loopback, or with TLS.
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Address } from '../config.js';
import { CellwallError } from '../errors.js';
import type { Enrolment } from '../identity/enrolment.js';
import type { Logger } from '../logger.js';
import type { Agents } from './agents.js';
import { ENROLMENT_SERVICE, enrolmentHandlers, refuseStream } from './enrolment_service.js';
import { AGENT_SERVICE } from './frames.js';
import { listen, type TlsMaterial } from './listener.js';
import { Strangers } from './strangers.js';

/** A batch of 1,024 flows is some 100 KiB; a report of 40,000 open flows 4 MiB. */
const LARGEST_MESSAGE = 16 << 20;
/** An enrolment is some 2 KiB, a projected token as much again. */
const STRANGERS_LARGEST_MESSAGE = 32 << 10;
const STRANGERS_STREAMS = 4;

export interface GrpcTls {
  /** Asked again when `changed` was called. */
  readonly material: () => TlsMaterial;
  /** Undefined: the authority of agents is not ours. */
  readonly enrolment: Enrolment | undefined;
}

export interface GrpcServer {
  readonly address: string;
  /** Other authorities, or another certificate, for connections from here on. */
  changed(): void;
  close(): Promise<void>;
}

function agentServer(agents: Agents): Server {
  const server = new Server({ 'grpc.max_receive_message_length': LARGEST_MESSAGE, 'grpc.so_reuseport': 0 });
  server.addService(AGENT_SERVICE, { stream: agents.accept });
  new HealthImplementation({ '': 'SERVING', 'cellwall.v1.AgentService': 'SERVING' }).addToServer(server);
  return server;
}

function strangerServer(enrolment: Enrolment | undefined, store: string, strangers: Strangers): Server {
  const server = new Server({
    'grpc.max_receive_message_length': STRANGERS_LARGEST_MESSAGE,
    'grpc.max_concurrent_streams': STRANGERS_STREAMS,
    // MiB.
    'grpc-node.max_session_memory': 1,
  });
  server.addService(ENROLMENT_SERVICE, enrolmentHandlers(enrolment, store));
  server.addService(AGENT_SERVICE, { stream: refuseStream(strangers) });
  return server;
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), 1000);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

async function startPlain(at: Address, agents: Agents): Promise<GrpcServer> {
  const server = agentServer(agents);
  const host = at.host.includes(':') ? `[${at.host}]` : at.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${at.port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(new CellwallError('cannot_listen', `--grpc-listen ${host}:${at.port}: ${error.message}`));
      else resolve(bound);
    });
  });
  return {
    address: `${host}:${port}`,
    changed: () => {},
    close: async () => {
      agents.close();
      await stop(server);
    },
  };
}

export async function startGrpc(
  at: Address,
  tls: GrpcTls | undefined,
  agents: Agents,
  log: Logger,
): Promise<GrpcServer> {
  // It writes lines of its own beside our log; what goes wrong is in the errors too.
  setLogVerbosity(logVerbosity.NONE);
  if (!tls) return startPlain(at, agents);
  const strangers = new Strangers(log);
  const servers = [agentServer(agents), strangerServer(tls.enrolment, agents.storeId, strangers)] as const;
  const [forAgents, forStrangers] = servers.map((it) =>
    it.createConnectionInjector(ServerCredentials.createInsecure()),
  );
  if (!forAgents || !forStrangers) throw new Error('no injectors');
  const listener = await listen(at, tls.material(), { agents: forAgents, strangers: forStrangers }, strangers);
  return {
    address: listener.address,
    changed: () => listener.update(tls.material()),
    close: async () => {
      listener.close();
      strangers.close();
      agents.close();
      await Promise.all(servers.map(stop));
    },
  };
}
