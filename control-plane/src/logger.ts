// SPDX-License-Identifier: Apache-2.0
import { type Logger, pino } from 'pino';

export type { Logger };

export const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type Level = (typeof LEVELS)[number];

/** One JSON object per line on stderr. */
export function createLogger(level: Level): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
