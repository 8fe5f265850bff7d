// SPDX-License-Identifier: Apache-2.0

/** Why flow records are missing, in words that follow a number. Keys as in the HTTP API. */
export const LOSS_TEXTS: Readonly<Record<string, string>> = {
  ringFull: 'the kernel ring was full',
  queueFull: "the agent's memory was full",
  agentRestart: 'with an agent that was killed',
  stateFull: 'no room for UDP peers',
  spoolFull: "the agent's spool was full",
  spoolDamaged: "damaged on the node's disk",
  overlap: 'stored in part before',
};

export function lostText(lost: Readonly<Record<string, number>>): string {
  const total = Object.values(lost).reduce((sum, count) => sum + count, 0);
  const parts = Object.entries(lost)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${count} ${LOSS_TEXTS[reason] ?? reason}`);
  return total === 0 ? '0' : `${total} (${parts.join(', ')})`;
}
