// SPDX-License-Identifier: Apache-2.0

/** Names of cellwall.v1.LossReason, by number. */
const REASONS = ['', 'ringFull', 'queueFull', 'agentRestart', 'stateFull'] as const;
export type Lost = Record<Exclude<(typeof REASONS)[number], ''>, number>;

export function sumLosses(losses: readonly { reason: number; count: number }[]): Lost {
  const sum: Lost = { ringFull: 0, queueFull: 0, agentRestart: 0, stateFull: 0 };
  for (const { reason, count } of losses) {
    // A hole without a reason can only come from an agent that did not say; it is counted where holes come from.
    sum[REASONS[reason] || 'queueFull'] += count;
  }
  return sum;
}
