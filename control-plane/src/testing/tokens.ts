// SPDX-License-Identifier: Apache-2.0
import type { Role } from '../access/roles.js';
import { TOKEN } from './certificates.js';
import type { TestServer } from './server.js';

/** A new token of a server, for a day. */
export async function tokenOf(
  server: TestServer,
  role: Role,
  name: string = role,
): Promise<{ id: string; token: string; headers: { authorization: string } }> {
  const { status, body } = await server.ask('/v1/tokens', {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name, role, days: 1 }),
  });
  if (status !== 200) throw new Error(`POST /v1/tokens: ${JSON.stringify(body)}`);
  const { id, token } = body as { id: string; token: string };
  return { id, token, headers: { authorization: `Bearer ${token}` } };
}
