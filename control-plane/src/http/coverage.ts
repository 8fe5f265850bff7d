// SPDX-License-Identifier: Apache-2.0
//
// How much of a time is on record, as answers have it.
import { z } from '@hono/zod-openapi';
import { timeText } from '../flows/record.js';
import type { Coverage } from '../learn/index.js';

export const coverageSchema = z
  .object({
    since: z.string(),
    until: z.string(),
    first: z.string().nullable().openapi({ description: 'first flow on record; null: there is none' }),
    last: z.string().nullable(),
    coveredSeconds: z.number().openapi({ description: 'from the first to the last, without holes' }),
    holes: z.array(z.object({ from: z.string(), to: z.string() })),
    lost: z.number().openapi({ description: 'flow records that were made and are not stored' }),
    gaps: z.number(),
    silentNodes: z.array(z.object({ node: z.string(), last: z.string() })),
    wrongClock: z.number().openapi({ description: 'flows that are dated far from when they arrived' }),
  })
  .openapi('Coverage', { description: 'how much of a time is on record' });

export const shownCoverage = (it: Coverage): z.output<typeof coverageSchema> => ({
  since: timeText(it.sinceUs),
  until: timeText(it.untilUs),
  first: it.firstUs === null ? null : timeText(it.firstUs),
  last: it.lastUs === null ? null : timeText(it.lastUs),
  coveredSeconds: Math.floor(it.coveredUs / 1e6),
  holes: it.holes.map(({ fromUs, toUs }) => ({ from: timeText(fromUs), to: timeText(toUs) })),
  lost: it.lost,
  gaps: it.gaps,
  silentNodes: it.silent.map(({ node, lastUs }) => ({ node, last: timeText(lastUs) })),
  wrongClock: it.wrongClock,
});
