// SPDX-License-Identifier: Apache-2.0
//
// What the pod of a container belongs to, as functions of SQL: half of it is in the labels.
import type { Database } from 'better-sqlite3';
import { type PodFacts, workloadKindOf, workloadOf } from '../flows/workload.js';

const ARGUMENTS = 'c.pod, c.labels, c.workload';
/** Of a row `c` of containers. */
export const WORKLOAD = `cellwall_workload(${ARGUMENTS})`;
export const WORKLOAD_KIND = `cellwall_workload_kind(${ARGUMENTS})`;

/** For each connection once. */
export function installWorkload(database: Database): void {
  const install = (name: string, of: (facts: PodFacts) => string) =>
    database.function(
      name,
      { deterministic: true, directOnly: true },
      (pod: string, labels: string, workload: string) =>
        of({ namespace: '', pod, labels: JSON.parse(labels) as Record<string, string>, workload }),
    );
  install('cellwall_workload', workloadOf);
  install('cellwall_workload_kind', workloadKindOf);
}
