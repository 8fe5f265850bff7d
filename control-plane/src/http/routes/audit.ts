// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { stream } from 'hono/streaming';
import { type AuditEntry, ChainCheck, headText, readHead } from '../../audit/chain.js';
import { CellwallError } from '../../errors.js';
import { parseTime } from '../../flows/filter.js';
import { timeText } from '../../flows/record.js';
import { type Api, type Context, nowUs } from '../context.js';
import { AGO, auditSchema, failures, json } from '../schemas.js';

/** Entries that are read at once, by those who walk through all. */
const CHUNK = 1000;
const pattern = z.string().max(200).optional().openapi({ description: '* stands for any text' });
const time = z.string().max(100).optional();

const list = createRoute({
  method: 'get',
  path: '/v1/audit',
  summary: 'The audit log, newest first',
  request: {
    query: z.strictObject({
      since: time.openapi({ description: AGO }),
      until: time,
      actor: pattern,
      action: pattern,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      before: z.coerce
        .number()
        .int()
        .min(1)
        .optional()
        .openapi({ description: 'the number of the last entry of a page' }),
    }),
  },
  responses: {
    200: json(
      z.object({ entries: z.array(auditSchema), head: z.string() }),
      'a page, and COUNT:HASH of the last entry',
    ),
    ...failures,
  },
});
const exportAll = createRoute({
  method: 'get',
  path: '/v1/audit/export',
  summary: 'The whole audit log in its order, one JSON object per line',
  description: 'What `cellwall audit verify --file` proves without a server.',
  responses: {
    200: { description: 'all entries', content: { 'application/x-ndjson': { schema: { type: 'string' } } } },
  },
});
const verify = createRoute({
  method: 'get',
  path: '/v1/audit/verification',
  summary: 'Walk the whole audit log, and prove it or name the first broken link',
  request: {
    query: z.strictObject({
      head: z.string().max(100).optional().openapi({ description: 'COUNT:HASH as it was noted once' }),
    }),
  },
  responses: {
    200: json(
      z.object({
        holds: z.boolean(),
        head: z.string().openapi({ description: 'up to where it holds' }),
        broken: z.object({ number: z.number(), time: z.string().nullable(), what: z.string() }).nullable(),
      }),
      'what was found',
    ),
    ...failures,
  },
});

export const showEntry = ({ timeUs, ...entry }: AuditEntry) => ({
  ...entry,
  time: timeText(timeUs),
  timeUs,
  details: entry.details as Record<string, unknown>,
});

export function audit(api: Api, { store, log }: Context): void {
  api.openapi(list, async (c) => {
    const { since, until, actor = null, action = null, limit, before = null } = c.req.valid('query');
    const now = nowUs();
    const sinceUs = since === undefined ? null : parseTime(since, now, 'since');
    const untilUs = until === undefined ? null : parseTime(until, now, 'until');
    const entries = await store.reader.call('auditList', { sinceUs, untilUs, actor, action }, limit, before);
    return c.json({ entries: entries.map(showEntry), head: headText(await store.reader.call('auditHead')) }, 200);
  });

  async function* all(): AsyncGenerator<AuditEntry[]> {
    for (let after = 0; ; ) {
      const entries = await store.reader.call('auditAfter', after, CHUNK);
      const last = entries.at(-1);
      if (!last) return;
      yield entries;
      after = last.number;
    }
  }

  // By hand: a typed route cannot answer with a stream.
  api.openAPIRegistry.registerPath(exportAll);
  api.get(exportAll.path, (c) => {
    c.header('content-type', 'application/x-ndjson');
    return stream(
      c,
      async (out) => {
        for await (const entries of all()) {
          if (out.aborted) return;
          await out.write(entries.map((entry) => `${JSON.stringify(showEntry(entry))}\n`).join(''));
        }
      },
      async (error) => log.error({ err: error }, 'an export of the audit log broke'),
    );
  });
  api.openapi(verify, async (c) => {
    const { head } = c.req.valid('query');
    const wanted = head === undefined ? undefined : readHead(head);
    if (head !== undefined && !wanted)
      throw new CellwallError('invalid_filter', `head ${head}: give it as COUNT:HASH, as 'cellwall status' shows it`);
    const check = new ChainCheck(wanted);
    walk: for await (const entries of all()) for (const entry of entries) if (!check.next(entry)) break walk;
    const broken = check.end();
    return c.json(
      {
        holds: broken === null,
        head: headText(check.head),
        broken: broken && {
          number: broken.number,
          what: broken.what,
          time: broken.timeUs === null ? null : timeText(broken.timeUs),
        },
      },
      200,
    );
  });
}
