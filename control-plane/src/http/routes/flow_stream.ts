// SPDX-License-Identifier: Apache-2.0
import { createRoute } from '@hono/zod-openapi';
import { stream } from 'hono/streaming';
import { CellwallError } from '../../errors.js';
import { parseFilter } from '../../flows/filter.js';
import { toFlow } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { flowFilterQuery } from '../schemas.js';
import { Streams } from '../streams.js';

const route = createRoute({
  method: 'get',
  path: '/v1/flows/stream',
  summary: 'Flows as they are stored',
  description:
    'One JSON object per line, from now on. A slow reader gets all of them, later: they are read from the store. One that takes nothing for 30 seconds is closed.',
  request: { query: flowFilterQuery },
  responses: {
    200: { description: 'flows without end', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
  },
});

const CHUNK = 500;
/** Also the time in which a reader that went away is noticed. */
const IDLE_MS = 1000;

/** To know the other ends can cost too much; the flows themselves are told all the same. */
function noPeers(error: unknown): [] {
  if (error instanceof CellwallError && error.code === 'too_expensive') return [];
  throw error;
}

export function flowStream(api: Api, context: Context): void {
  const { store, staging, access, log } = context;
  const streams = new Streams(context);
  // By hand: a typed route cannot answer with a stream.
  api.openAPIRegistry.registerPath(route);
  api.get(route.path, async (c) => {
    const given = Object.entries(c.req.queries()).map(([word, values]) => [
      word,
      values.length > 1 ? values : values[0],
    ]);
    const words = flowFilterQuery.safeParse(Object.fromEntries(given));
    if (!words.success)
      throw new CellwallError('invalid_filter', words.error.issues.map((it) => it.message).join('; '));
    const filter = parseFilter(words.data, nowUs());
    const slot = streams.open(c);
    let position = await store.reader.call('position').catch((error) => {
      slot.close();
      throw error;
    });
    c.header('content-type', 'application/x-ndjson');
    return stream(
      c,
      async (out) => {
        try {
          while (!out.aborted && !out.closed && access.holds(c.get('caller'), nowUs())) {
            const committed = new Promise<void>((resolve) => {
              const timer = setTimeout(done, IDLE_MS);
              store.on('committed', done);
              function done() {
                clearTimeout(timer);
                store.off('committed', done);
                resolve();
              }
            });
            const next = await store.reader.call('after', filter, position, CHUNK);
            position = next.position;
            // The record at the other end is mostly not there yet; who has the address is.
            const peers = next.flows.length > 0 ? await store.reader.call('peers', next.flows).catch(noPeers) : [];
            if (next.flows.length > 0) {
              const pending = await staging.pending(next.flows, peers);
              const lines = next.flows.map((flow, index) => toFlow(flow, peers[index] ?? null, pending[index]));
              await slot.written(out.write(`${lines.map((it) => JSON.stringify(it)).join('\n')}\n`));
            }
            if (next.flows.length < CHUNK) await committed;
          }
        } finally {
          slot.close();
        }
      },
      async (error) => log.error({ err: error }, 'a stream of flows broke'),
    );
  });
}
