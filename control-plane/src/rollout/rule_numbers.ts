// SPDX-License-Identifier: Apache-2.0
import { CellwallError } from '../errors.js';
import { BUILTIN_RULES, type Policy, policyKey } from '../policy/index.js';
import type { Store } from '../store/store.js';

/** The lasting numbers of rules. Compilation must not wait for the writer, so it gets those of all rules before. */
export class RuleNumbers {
  readonly #store: Store;
  readonly #numbers = new Map<string, number>();

  constructor(store: Store) {
    this.#store = store;
  }

  async learn(policies: readonly Policy[]): Promise<void> {
    const names = policies.flatMap((policy) =>
      [...BUILTIN_RULES, ...[...policy.egress, ...policy.ingress].map((rule) => rule.name)].map(
        (rule) => [policyKey(policy), rule] as const,
      ),
    );
    const fresh = names.filter(([policy, rule]) => !this.#numbers.has(`${policy}\0${rule}`));
    if (fresh.length === 0) return;
    const numbers = await this.#store.writer.call('ruleNumbers', fresh);
    for (const [index, [policy, rule]] of fresh.entries())
      this.#numbers.set(`${policy}\0${rule}`, numbers[index] as number);
  }

  of(policy: string, rule: string): number {
    const number = this.#numbers.get(`${policy}\0${rule}`);
    if (number === undefined) throw new CellwallError('internal', `rule ${rule} of ${policy} has no number`);
    return number;
  }
}
