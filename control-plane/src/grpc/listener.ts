// SPDX-License-Identifier: Apache-2.0
//
// The TLS port for agents. Certificates are asked for, and checked here: who shows a good one is handed to the server for
// agents, anybody else to one that can do nothing but enrol, and say why not. Everything that strangers can hold has a limit.
import { constants } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { ConnectionInjector } from '@grpc/grpc-js';
import type { Address } from '../config.js';
import { CellwallError } from '../errors.js';
import type { Strangers } from './strangers.js';

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** PEM of the authorities of agents; undefined: no certificate is asked for. */
  readonly ca: Buffer | string | undefined;
}

/** Of agents and strangers together; more are closed at once. */
const MOST_CONNECTIONS = 10_000;
const HANDSHAKE_MS = 10_000;
/** For a stranger to enrol. */
const STRANGER_MS = 30_000;

function reasonOf(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  // Of a certificate that nobody showed, node says UNABLE_TO_GET_ISSUER_CERT or nothing.
  if (Object.keys(socket.getPeerCertificate() ?? {}).length === 0) return 'it shows no certificate';
  const error = socket.authorizationError as unknown as { code?: string; message?: string } | string | undefined;
  const code = typeof error === 'string' ? error : (error?.code ?? error?.message ?? 'unknown');
  const said: Readonly<Record<string, string>> = {
    CERT_HAS_EXPIRED: 'its certificate has ended',
    CERT_NOT_YET_VALID: 'its certificate is not valid yet',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of another authority',
    UNABLE_TO_GET_ISSUER_CERT: 'its certificate is of another authority',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of another authority',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is of another authority',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is of another authority',
    INVALID_PURPOSE: 'its certificate is not one for clients',
  };
  return `${said[code] ?? 'its certificate is not good'} (${code})`;
}

export interface Listener {
  readonly address: string;
  /** For connections from here on. */
  update(material: TlsMaterial): void;
  close(): void;
}

export async function listen(
  at: Address,
  material: TlsMaterial,
  servers: { readonly agents: ConnectionInjector; readonly strangers: ConnectionInjector },
  strangers: Strangers,
): Promise<Listener> {
  const asked = material.ca !== undefined;
  const options = {
    ...material,
    ALPNProtocols: ['h2'],
    minVersion: 'TLSv1.2' as const,
    requestCert: asked,
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_MS,
    // What a ticket resumes was checked once, and not again: every handshake is a whole one.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  const server: Server = createServer(options);
  server.maxConnections = MOST_CONNECTIONS;
  server.on('connection', (socket) => {
    if (!strangers.take(socket)) socket.destroy();
  });
  server.on('tlsClientError', (error, socket) => strangers.refused(socket, `no TLS: ${error.message}`));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    const reason = asked ? reasonOf(socket) : undefined;
    if (reason === undefined) {
      strangers.known(socket);
      servers.agents.injectConnection(socket);
      return;
    }
    if (Object.keys(socket.getPeerCertificate() ?? {}).length > 0) strangers.refused(socket, reason);
    strangers.stays(socket, reason);
    setTimeout(() => socket.destroy(), STRANGER_MS).unref();
    servers.strangers.injectConnection(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new CellwallError('cannot_listen', `--grpc-listen ${at.host}:${at.port}: ${error.message}`)),
    );
    server.listen(at.port, at.host, resolve);
  });
  const host = at.host.includes(':') ? `[${at.host}]` : at.host;
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    update: (next) => server.setSecureContext({ ...options, ...next }),
    close: () => server.close(),
  };
}
