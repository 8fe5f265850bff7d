// SPDX-License-Identifier: Apache-2.0
//
// What a word may go on with, for the completion of the command line.
import { createRoute, z } from '@hono/zod-openapi';
import { includes } from '../../access/roles.js';
import { stateOf } from '../../access/token_book.js';
import { displayName, endpointText } from '../../flows/record.js';
import type { ContainerRow } from '../../store/inventory.js';
import { type Api, type Context, nowUs } from '../context.js';
import { failures, json } from '../schemas.js';

/** More are of no help to who types. */
const MOST_VALUES = 50;

/** Services that were called in the last hours. */
const SERVICES_US = 6 * 3600e6;

type Values = Iterable<string> | Promise<Iterable<string>>;
type Source = (context: Context, prefix: string) => Values;

const ofContainers =
  (value: (row: ContainerRow) => string): Source =>
  async ({ store }) =>
    (await store.reader.call('containers', false)).map(value);

/**
 * Where the values of a field come from: a new field is one more line here. Values come in any order and as often as they are;
 * a source with very many may leave out what does not begin with `prefix`.
 */
const SOURCES = {
  container: ofContainers(displayName),
  namespace: ofContainers((row) => row.namespace),
  pod: ofContainers((row) => row.pod),
  node: async ({ store }) => (await store.reader.call('nodes')).map((row) => row.name),
  name: ({ store }, prefix) => store.reader.call('names', prefix, MOST_VALUES),
  service: async ({ store }) => {
    const times = { sinceUs: nowUs() - SERVICES_US, untilUs: nowUs() };
    const { edges } = await store.reader.call('edges', times, {});
    return edges.flatMap(({ backend, address, port }) => (backend ? [endpointText(address, port)] : []));
  },
  token: ({ access }) =>
    access.tokens.all().flatMap((token) => (stateOf(token, nowUs()) === 'valid' ? [token.name] : [])),
  proposal: async ({ store }) =>
    (await store.reader.call('proposals', 'open', MOST_VALUES)).map(({ id }) => String(id)),
  policy: ({ rollout }) => rollout.documents().map((document) => document.key),
} as const satisfies Record<string, Source>;

const route = createRoute({
  method: 'get',
  path: '/v1/hints',
  summary: 'What there is that begins with a prefix: containers that run, nodes, policies',
  request: {
    query: z.strictObject({
      field: z.enum(Object.keys(SOURCES) as [keyof typeof SOURCES, ...(keyof typeof SOURCES)[]]),
      prefix: z.string().max(500).default(''),
    }),
  },
  responses: {
    200: json(z.object({ values: z.array(z.string()) }), `sorted, the first ${MOST_VALUES}`),
    ...failures,
  },
});

function chosen(values: Iterable<string>, prefix: string): string[] {
  const fitting = new Set([...values].filter((value) => value !== '' && value.startsWith(prefix)));
  return [...fitting].sort().slice(0, MOST_VALUES);
}

export function hints(api: Api, context: Context): void {
  api.openapi(route, async (c) => {
    const { field, prefix } = c.req.valid('query');
    // As /v1/tokens.
    if (field === 'token' && !includes(c.get('caller').role, 'admin')) return c.json({ values: [] }, 200);
    const source: Source = SOURCES[field];
    return c.json({ values: chosen(await source(context, prefix), prefix) }, 200);
  });
}
