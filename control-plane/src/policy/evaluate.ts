// SPDX-License-Identifier: Apache-2.0
//
// What the policies mean, written plainly and apart from the compiler: tests compare the two.

import { DEFAULT_DENY, LOOPBACK, type Policy, policyKey, type Rule } from './model.js';
import { addressBits, contains, LOOPBACK_NETWORKS } from './network.js';

export interface Probe {
  readonly address: string;
  readonly protocol: number;
  readonly port: number;
}

/** policy: null with rule null means that no rule had a say. */
export interface Evaluation {
  readonly verdict: 'allowed' | 'denied' | 'audit';
  readonly policy: string | null;
  readonly rule: string | null;
}

function ruleMatches(rule: Rule, address: bigint, probe: Probe): boolean {
  const host = { address, prefix: 128 };
  const network = rule.networks.length === 0 || rule.networks.some((entry) => contains(entry, host));
  const port =
    rule.ports.length === 0 ||
    rule.ports.some(
      (range) => range.protocol === probe.protocol && range.first <= probe.port && probe.port <= range.last,
    );
  return network && port;
}

interface Opinion {
  readonly denies: boolean;
  readonly policy: string | null;
  readonly rule: string | null;
}

/** What these policies say, all of them taken as enforced. */
function opinion(policies: readonly Policy[], address: bigint, probe: Probe): Opinion {
  for (const action of ['Deny', 'Accept'] as const) {
    for (const policy of policies) {
      const rule = policy.egress.find((entry) => entry.action === action && ruleMatches(entry, address, probe));
      if (rule) return { denies: action === 'Deny', policy: policyKey(policy), rule: rule.name };
    }
  }
  const isolating = policies.filter((policy) => policy.isolated);
  const first = isolating[0];
  if (!first) return { denies: false, policy: null, rule: null };
  if (LOOPBACK_NETWORKS.some((network) => contains(network, { address, prefix: 128 }))) {
    const strict = isolating.find((policy) => policy.loopback === 'Deny');
    if (!strict) return { denies: false, policy: policyKey(first), rule: LOOPBACK };
    return { denies: true, policy: policyKey(strict), rule: DEFAULT_DENY };
  }
  return { denies: true, policy: policyKey(first), rule: DEFAULT_DENY };
}

/** `policies`: those that select the container, sorted by key. `address` must be one. */
export function evaluate(policies: readonly Policy[], probe: Probe): Evaluation {
  const address = addressBits(probe.address);
  if (address === undefined) throw new TypeError(`not an address: ${probe.address}`);
  const enforced = opinion(
    policies.filter((policy) => policy.mode === 'Enforce'),
    address,
    probe,
  );
  if (enforced.denies) return { verdict: 'denied', policy: enforced.policy, rule: enforced.rule };
  const all = opinion(policies, address, probe);
  if (all.denies) return { verdict: 'audit', policy: all.policy, rule: all.rule };
  const named = enforced.policy !== null ? enforced : all;
  return { verdict: 'allowed', policy: named.policy, rule: named.rule };
}
