// SPDX-License-Identifier: Apache-2.0
//
// Workloads with exact counts, run in a container, and what the store should hold afterwards.
import type { Flow } from '../../control-plane/src/flows/record.js';
import type { Pod } from './pods.js';

export type Outcome = 'done' | 'refused' | 'denied' | 'unanswered' | 'failed';
export type Tally = Record<Outcome, number>;

export interface Work {
  readonly mode: 'tcp' | 'udp' | 'sendto';
  readonly address: string;
  readonly port: number;
  readonly count: number;
  readonly expect: Outcome;
}

const CONNECTOR = '/usr/local/bin/connector';

export async function connector(pod: Pod, container: string, args: readonly string[]): Promise<Tally> {
  const { code, stdout, stderr } = await pod.exec(container, [CONNECTOR, ...args]);
  if (code !== 0) throw new Error(`connector ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as Tally;
}

/** Throws when the workload itself did not end as it was meant to. */
export async function work(pod: Pod, container: string, list: readonly Work[]): Promise<void> {
  for (const it of list) {
    const drop = it.expect === 'unanswered' ? ['drop'] : [];
    const tally = await connector(pod, container, [it.mode, it.address, String(it.port), String(it.count), ...drop]);
    if (tally[it.expect] !== it.count) throw new Error(`${JSON.stringify(it)} ended as ${JSON.stringify(tally)}`);
  }
}

const VERDICT: Record<Outcome, string> = {
  done: 'allowed closed',
  refused: 'allowed failed',
  unanswered: 'allowed failed',
  failed: 'allowed failed',
  denied: 'denied denied',
};

/** "container protocol address:port verdict end" to how many. */
export type Counts = Record<string, number>;

function add(counts: Counts, key: string, count: number): void {
  counts[key] = (counts[key] ?? 0) + count;
}

export function expectedCounts(container: string, list: readonly Work[]): Counts {
  const counts: Counts = {};
  for (const it of list) {
    const protocol = it.mode === 'tcp' ? 'tcp' : 'udp';
    add(counts, `${container} ${protocol} ${it.address} ${it.port} ${VERDICT[it.expect]}`, it.count);
  }
  return counts;
}

export function storedCounts(flows: readonly Flow[]): Counts {
  const counts: Counts = {};
  for (const flow of flows) {
    const { address, port } = flow.destination;
    add(counts, `${flow.container.name} ${flow.protocol} ${address} ${port} ${flow.verdict} ${flow.endReason}`, 1);
  }
  return counts;
}
