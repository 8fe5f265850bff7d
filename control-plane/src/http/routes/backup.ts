// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { timeText } from '../../flows/record.js';
import type { BackupState } from '../../store/upkeep.js';
import type { Api, Context } from '../context.js';
import { failures, json } from '../schemas.js';

export const backupSchema = z
  .object({
    running: z.boolean(),
    to: z.string(),
    startedAt: z.string(),
    doneBytes: z.number(),
    totalBytes: z.number().openapi({ description: 'that are to be copied; 0: not known yet' }),
    result: z
      .object({
        folder: z.string(),
        bytes: z.number(),
        copiedBytes: z.number().openapi({ description: 'the rest is shared with the backup before' }),
        files: z.number(),
        seconds: z.number(),
      })
      .nullable(),
    error: z.string().nullable(),
  })
  .openapi('Backup');

const start = createRoute({
  method: 'put',
  path: '/v1/backup',
  summary: 'Begin a backup into a folder of the machine that the server runs on',
  request: {
    query: z.object({
      to: z.string().min(1).max(1000).openapi({ description: 'a whole path: new, empty, or with backups of before' }),
      mibPerSecond: z.coerce.number().min(1).max(10_000).default(100),
      keep: z.coerce.number().int().min(1).max(1000).default(7).openapi({ description: 'older backups are removed' }),
    }),
  },
  responses: { 202: json(backupSchema, 'begun'), ...failures },
});

const get = createRoute({
  method: 'get',
  path: '/v1/backup',
  summary: 'The last backup since the server was started',
  responses: { 200: json(z.object({ backup: backupSchema.nullable() }), 'null: none'), ...failures },
});

export function shownBackup({ startedUs, result, ...rest }: BackupState): z.infer<typeof backupSchema> {
  return { ...rest, startedAt: timeText(startedUs), result: result && { ...result } };
}

export function backup(api: Api, { store }: Context): void {
  api.openapi(start, (c) => c.json(shownBackup(store.upkeep.startBackup(c.req.valid('query'))), 202));
  api.openapi(get, (c) => {
    const { backup } = store.upkeep;
    return c.json({ backup: backup && shownBackup(backup) }, 200);
  });
}
