// SPDX-License-Identifier: Apache-2.0
import type { Policy } from '../policy/index.js';
import { type Change, type Effect, effectOf } from './effect.js';

/** What a change of policies would have done to recorded flows. `policies`: those whose containers the answer lists. */
export function simulate(change: Change, policies: readonly Pick<Policy, 'subject'>[]): Effect {
  const work = effectOf(change, policies);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
