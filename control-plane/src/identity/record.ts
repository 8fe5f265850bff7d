// SPDX-License-Identifier: Apache-2.0
//
// What was done or refused to agents, on its way to the audit log.
import type { Denials } from '../access/denials.js';
import type { Details } from '../audit/chain.js';
import { BoundedLog } from '../bounded_log.js';
import type { Logger } from '../logger.js';
import type { Store } from '../store/store.js';

/** Tells what was done or refused: who, what, to whom. */
export type Audit = (actor: string, action: string, subject: string, details: Details) => void;

/** Refusals go the way of all denials, which can be many; the server's log has the first of each ten seconds with their reasons. */
export function auditTo(store: Store, denials: Denials, log: Logger): Audit {
  const refusals = new BoundedLog(log, 'more agents were refused');
  return (actor, action, subject, details) => {
    const facts = { audit: action, actor, subject, ...details };
    if (action.endsWith('refused')) {
      refusals.say('info', facts, 'audit');
      denials.add({ actor: 'agent', address: actor.replace(/:\d+$/, ''), reason: action, subject });
      return;
    }
    log.info(facts, 'audit');
    store.writer.call('audit', actor, action, subject, details).catch((error: Error) => log.error(error.message));
  };
}
