// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '../logger.js';

/** Tells what was done or refused: who, what, to whom. */
export type Audit = (
  actor: string,
  action: string,
  subject: string,
  details: Readonly<Record<string, string | number | boolean | null>>,
) => void;

/** Until there is an audit log: a line in the server's. */
export const auditToLog =
  (log: Logger): Audit =>
  (actor, action, subject, details) =>
    log.info({ audit: action, actor, subject, ...details }, 'audit');
