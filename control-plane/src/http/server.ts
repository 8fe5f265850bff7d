// SPDX-License-Identifier: Apache-2.0
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Address } from '../config.js';
import { CellwallError, ERRORS, toPlain } from '../errors.js';
import type { ServerIdentity } from '../identity/trust.js';
import { VERSION } from '../version.js';
import type { Api, Context, Env } from './context.js';
import { guard } from './guard.js';
import { checkDeclared } from './required_roles.js';
import { audit } from './routes/audit.js';
import { authority } from './routes/authority.js';
import { backup } from './routes/backup.js';
import { containers } from './routes/containers.js';
import { explanations } from './routes/explain.js';
import { flow } from './routes/flow.js';
import { flowExport } from './routes/flow_export.js';
import { flowStream } from './routes/flow_stream.js';
import { flows } from './routes/flows.js';
import { hints } from './routes/hints.js';
import { joinTokens } from './routes/join_tokens.js';
import { listeners } from './routes/listeners.js';
import { login } from './routes/login.js';
import { lookups } from './routes/lookups.js';
import { losses } from './routes/losses.js';
import { map } from './routes/map.js';
import { metrics } from './routes/metrics.js';
import { nodeAccess } from './routes/node_access.js';
import { nodes } from './routes/nodes.js';
import { policies } from './routes/policies.js';
import { policyDescription } from './routes/policy_description.js';
import { policyDrift } from './routes/policy_drift.js';
import { policyFindings } from './routes/policy_findings.js';
import { policyLearn } from './routes/policy_learn.js';
import { proposals } from './routes/proposals.js';
import { simulations } from './routes/simulation.js';
import { stagedPolicies } from './routes/staged.js';
import { statusRoutes } from './routes/status.js';
import { tokens } from './routes/tokens.js';
import { who } from './routes/who.js';

const LARGEST_BODY = 1 << 20;
/** For a request to arrive; answers can take longer, and streams of flows do. */
const REQUEST_MS = 30_000;
/** Without a byte either way; streams of flows have a rule of their own. */
const SILENT_MS = 60_000;
const ROUTES = [
  flows,
  flowStream,
  flowExport,
  flow,
  who,
  map,
  listeners,
  lookups,
  containers,
  nodes,
  losses,
  nodeAccess,
  joinTokens,
  authority,
  policyLearn,
  policyDrift,
  policyFindings,
  simulations,
  policies,
  policyDescription,
  explanations,
  proposals,
  stagedPolicies,
  hints,
  login,
  tokens,
  audit,
  statusRoutes,
  backup,
  metrics,
];

export function createApi(context: Context): Api {
  const api = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (result.success) return;
      const details = result.error.issues.map((issue) => ({ where: issue.path.join('.'), message: issue.message }));
      throw new CellwallError(
        'invalid_filter',
        `the request was refused: ${details.map((it) => `${it.where}: ${it.message}`).join('; ')}`,
        details,
      );
    },
  });
  api.use(guard(context));
  api.use(
    bodyLimit({
      maxSize: LARGEST_BODY,
      onError: () => {
        throw new CellwallError('too_large', `the body is larger than ${LARGEST_BODY} bytes; split it`);
      },
    }),
  );
  for (const add of ROUTES) add(api, context);
  api.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: {
      title: 'Cellwall',
      version: VERSION,
      description: 'What each container talked to, and what it may talk to.',
    },
    security: [{ token: [] }],
  });
  api.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' });
  checkDeclared(api.routes);
  api.notFound((c) =>
    c.json(
      {
        error: {
          code: 'not_found',
          message: `there is no ${c.req.method} ${c.req.path}; /openapi.json lists what there is`,
        },
      },
      404,
    ),
  );
  api.onError((error, c) => {
    const { code, message, details } = toPlain(error);
    if (code === 'internal') context.log.error({ err: error, path: c.req.path }, 'a request failed');
    return c.json(
      { error: { code, message, ...(details.length > 0 && { details }) } },
      ERRORS[code].http as ContentfulStatusCode,
    );
  });
  return api;
}

export interface HttpServer {
  readonly address: string;
  /** Another certificate, for connections from here on. */
  show(identity: ServerIdentity): void;
  close(): Promise<void>;
}

export async function startHttp(
  listen: Address,
  tls: ServerIdentity | undefined,
  context: Context,
): Promise<HttpServer> {
  const api = createApi(context);
  const listener = getRequestListener(api.fetch, { hostname: listen.host });
  const respond: RequestListener = (request, response) => {
    if (!context.turnedAway.answer(request, response)) void listener(request, response);
  };
  const server = tls ? createTlsServer({ cert: tls.cert, key: tls.key }, respond) : createServer(respond);
  server.requestTimeout = REQUEST_MS;
  // Who does not read an answer keeps it in memory.
  server.setTimeout(SILENT_MS);
  server.on('connection', (socket: Socket) => context.connections.add(socket));
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error: Error) =>
      reject(new CellwallError('cannot_listen', `--http-listen ${listen.host}:${listen.port}: ${error.message}`)),
    );
    server.listen(listen.port, listen.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return {
    address: `${tls ? 'https' : 'http'}://${host}:${port}`,
    show: ({ cert, key }) => {
      if ('setSecureContext' in server) server.setSecureContext({ cert, key });
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // Streams of flows have no end of their own.
        server.closeAllConnections();
      }),
  };
}
