// SPDX-License-Identifier: Apache-2.0
//
// Runs flows/effect.ts beside everything else the server does.
import { setImmediate as breathe } from 'node:timers/promises';
import { CellwallError } from '../errors.js';
import { type Effect, effectOf } from '../flows/effect.js';
import type { Store } from '../store/store.js';
import type { Plan } from './plan.js';

/** In all: the reader's part, and that of the evaluator. */
const LONGEST_MS = 20_000;

/** The flows between these times, before and after the change. */
export async function simulate(store: Store, plan: Plan, sinceUs: number, untilUs: number): Promise<Effect> {
  const deadline = performance.now() + LONGEST_MS;
  const found = await store.reader.call('edges', { sinceUs, untilUs }, {});
  const change = { ...plan, edges: found.edges, sinceUs: found.sinceUs, untilUs: found.untilUs };
  const work = effectOf(change, [...plan.selections.values()]);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() > deadline)
      throw new CellwallError(
        'too_expensive',
        `the dry run was stopped after ${LONGEST_MS / 1000} s; take a shorter time (--since 1h)`,
      );
    await breathe();
  }
}
