// SPDX-License-Identifier: Apache-2.0

/** Names of cellwall.v1.LossReason, by number. */
const REASONS = [
  '',
  'ringFull',
  'queueFull',
  'agentRestart',
  'stateFull',
  'spoolFull',
  'spoolDamaged',
  'overlap',
] as const;
export type LossReason = Exclude<(typeof REASONS)[number], ''>;
export type Lost = Record<LossReason, number>;
export const LOSS_REASONS = REASONS.slice(1) as readonly LossReason[];

/** A hole without a reason can only come from an agent that did not say; it is counted where holes come from. */
export const reasonName = (reason: number): LossReason => REASONS[reason] || 'queueFull';

export function sumLosses(losses: readonly { reason: number; count: number }[]): Lost {
  const sum = Object.fromEntries(LOSS_REASONS.map((name) => [name, 0])) as Lost;
  for (const { reason, count } of losses) sum[reasonName(reason)] += count;
  return sum;
}
