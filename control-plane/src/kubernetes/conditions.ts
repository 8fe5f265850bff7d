// SPDX-License-Identifier: Apache-2.0
//
// The status of a policy in Kubernetes: whether it was accepted, and how many nodes enforce it.
import type { CustomPolicy } from './resources.js';

export interface Condition {
  readonly type: 'Accepted' | 'Enforced';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

export interface PolicyStatus {
  readonly observedGeneration: number;
  readonly policyGeneration: number | null;
  readonly nodes: { readonly desired: number; readonly enforcing: number; readonly summary: string };
  readonly conditions: readonly Condition[];
}

/** What became of one version of an object. */
export interface Verdict {
  readonly accepted: boolean;
  readonly reason: 'Valid' | 'Invalid' | 'Conflict';
  readonly message: string;
  /** Of the policy set in which it was taken up; null: it is in none. */
  readonly policyGeneration: number | null;
}

export interface NodeState {
  readonly name: string;
  readonly applied: number;
  /** What is wrong with it. */
  readonly problem: string | null;
  /** Its agent has refused something newer than it has applied. */
  readonly refuses: boolean;
}

/** Of the names in a message. */
const MOST_NAMED = 5;
const LONGEST_MESSAGE = 2000;

function named(nodes: readonly NodeState[]): string {
  const shown = nodes.slice(0, MOST_NAMED).map(({ name, problem }) => (problem ? `${name} (${problem})` : name));
  const more = nodes.length - shown.length;
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

type Told = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

function enforced(
  { accepted, policyGeneration }: Verdict,
  nodes: readonly NodeState[],
  missing: readonly NodeState[],
): Told {
  const type = 'Enforced';
  if (policyGeneration === null) {
    return { type, status: 'False', reason: 'NotAccepted', message: 'nothing of this policy is in force' };
  }
  if (!accepted)
    return {
      type,
      status: 'False',
      reason: 'NotAccepted',
      message: 'the version before, which was accepted, stays in force',
    };
  if (nodes.length === 0) return { type, status: 'Unknown', reason: 'NoNodes', message: 'no node is known' };
  const refusing = missing.filter(({ refuses }) => refuses);
  if (refusing.length > 0)
    return { type, status: 'False', reason: 'Refused', message: `refused by ${named(refusing)}` };
  if (missing.length > 0) return { type, status: 'False', reason: 'Pending', message: `not yet on ${named(missing)}` };
  return { type, status: 'True', reason: 'AllNodes', message: 'every node enforces it' };
}

function toCondition(told: Told, generation: number, before: readonly Condition[], now: string): Condition {
  const known = before.find(({ type }) => type === told.type);
  return {
    ...told,
    message: told.message.slice(0, LONGEST_MESSAGE),
    observedGeneration: generation,
    lastTransitionTime: known && known.status === told.status ? known.lastTransitionTime : now,
  };
}

/** `nodes`: all that should enforce it. */
export function statusOf(
  object: CustomPolicy,
  verdict: Verdict,
  nodes: readonly NodeState[],
  now: string,
): PolicyStatus {
  const { generation = 0 } = object.metadata ?? {};
  const before = ((object.status ?? {}) as Partial<PolicyStatus>).conditions ?? [];
  const wanted = verdict.policyGeneration;
  const missing = nodes.filter(({ applied }) => wanted === null || applied < wanted);
  const accepted: Told = {
    type: 'Accepted',
    status: verdict.accepted ? 'True' : 'False',
    reason: verdict.reason,
    message: verdict.message,
  };
  const enforcing = nodes.length - missing.length;
  return {
    observedGeneration: generation,
    policyGeneration: wanted,
    nodes: { desired: nodes.length, enforcing, summary: `${enforcing}/${nodes.length}` },
    conditions: [accepted, enforced(verdict, nodes, missing)].map((it) => toCondition(it, generation, before, now)),
  };
}

/** Without the times. */
export function isSameStatus(a: PolicyStatus, b: Partial<PolicyStatus> | undefined): boolean {
  const text = (status: Partial<PolicyStatus> | undefined) =>
    JSON.stringify([
      status?.observedGeneration,
      status?.policyGeneration ?? null,
      status?.nodes?.desired,
      status?.nodes?.enforcing,
      [...(status?.conditions ?? [])]
        .sort((x, y) => (x.type < y.type ? -1 : 1))
        .map((it) => [it.type, it.status, it.reason, it.message, it.observedGeneration]),
    ]);
  return text(a) === text(b);
}
