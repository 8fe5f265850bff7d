// SPDX-License-Identifier: Apache-2.0
//
// Policies that are objects of Kubernetes, to those in force. One that is refused leaves the version before in force; one that is
// gone is deleted, but only when all objects are known.
import { createHash } from 'node:crypto';
import type { NewAuditEntry } from '../audit/chain.js';
import { CRD_KINDS, documentKey, type Parsed, type Policy, parseObject } from '../policy/index.js';
import { type Change, type NewDocument, toStore } from '../rollout/documents.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Verdict } from './conditions.js';
import type { CustomPolicy } from './resources.js';

const ACTOR = 'kubernetes';
const HEAD = { apiVersion: 'cellwall.dev/v1alpha1' } as const;

export function keyOfPolicy({ kind, metadata }: CustomPolicy): string {
  return documentKey({ kind, namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' });
}

/** Of Kubernetes' own metadata, a policy has the name. */
function read(object: CustomPolicy): Parsed {
  const { kind, metadata, spec } = object;
  const { name = '', namespace } = metadata ?? {};
  const document = { ...HEAD, kind, metadata: { name, ...(namespace !== undefined && { namespace }) }, spec };
  return parseObject(document, keyOfPolicy(object));
}

/** "web.yaml:1:117 spec.mode" has a place in text that nobody wrote. */
const withoutPlace = (where: string) => where.slice(where.indexOf(' ') + 1);

/** from: the kind of object. */
export const auditOf =
  (from: string) =>
  ({ key, change, after }: Change): NewAuditEntry => {
    const sha256 = createHash('sha256').update(after).digest('hex');
    const action = change === 'deleted' ? 'policy.delete' : 'policy.apply';
    return { actor: ACTOR, action, subject: key, details: { change, sha256, from } };
  };

const versionOf = ({ metadata }: CustomPolicy): string => `${metadata?.uid} ${metadata?.generation}`;

interface Known {
  readonly object: CustomPolicy;
  readonly parsed: Parsed;
  readonly version: string;
}

export class CustomPolicies {
  readonly #rollout: Rollout;
  /** null: not listed yet. */
  readonly #objects: Record<CustomPolicy['kind'], Map<string, CustomPolicy> | null> = {
    ContainerPolicy: null,
    ClusterContainerPolicy: null,
  };
  #known = new Map<string, Known>();

  constructor(rollout: Rollout) {
    this.#rollout = rollout;
  }

  replace(kind: CustomPolicy['kind'], all: ReadonlyMap<string, CustomPolicy>): void {
    this.#objects[kind] = new Map(all);
  }

  /** Returns whether there is something to do for it: mostly, it is its status that has changed, and we have written that ourselves. */
  put(kind: CustomPolicy['kind'], key: string, object: CustomPolicy): boolean {
    this.#objects[kind]?.set(key, object);
    const name = keyOfPolicy(object);
    const known = this.#known.get(name);
    if (known?.version !== versionOf(object)) return true;
    // One that the command line had applied may be gone by now.
    if (known.parsed.problems.length === 0 && !this.#rollout.document(name)) return true;
    this.#known.set(name, { ...known, object });
    return false;
  }

  remove(kind: CustomPolicy['kind'], key: string): void {
    this.#objects[kind]?.delete(key);
  }

  get isComplete(): boolean {
    return CRD_KINDS.every((kind) => this.#objects[kind] !== null);
  }

  all(): CustomPolicy[] {
    return [...this.#known.values()].map(({ object }) => object);
  }

  /** What of them is not in force yet, or should not be any more. */
  async synchronise(): Promise<void> {
    if (!this.isComplete) return;
    const objects = CRD_KINDS.flatMap((kind) => [...(this.#objects[kind]?.values() ?? [])]);
    this.#known = new Map(objects.map((object) => [keyOfPolicy(object), this.#read(object)]));
    const put = [...this.#known].flatMap(([key, { parsed }]): NewDocument[] =>
      parsed.problems.length > 0 || this.#isElsewhere(key) ? [] : parsed.sources.map((it) => toStore(it, 'kubernetes')),
    );
    const gone = this.#rollout.documents().filter((it) => it.origin === 'kubernetes' && !this.#known.has(it.key));
    await this.#rollout.synchronise(
      put,
      gone.map(({ key }) => key),
      auditOf('custom resource'),
    );
  }

  #read(object: CustomPolicy): Known {
    const version = versionOf(object);
    const before = this.#known.get(keyOfPolicy(object));
    return { object, version, parsed: before?.version === version ? before.parsed : read(object) };
  }

  /** It was applied with the command line, and is not ours to change. */
  #isElsewhere(key: string): boolean {
    return this.#rollout.document(key)?.origin === '';
  }

  /** hints: what is good to know of a policy that is accepted. */
  verdictOf(object: CustomPolicy, hints: (policy: Policy) => string[]): Verdict {
    const key = keyOfPolicy(object);
    const stored = this.#rollout.document(key);
    if (stored && stored.origin !== 'kubernetes') {
      const message = `${key} was applied with the command line: 'cellwall policy delete' it there first`;
      return { accepted: false, reason: 'Conflict', message, policyGeneration: null };
    }
    const policyGeneration = stored?.generation ?? null;
    const { problems = [], policies = [] } = this.#known.get(key)?.parsed ?? {};
    if (problems.length > 0) {
      const message = problems.map((it) => `${withoutPlace(it.where)}: ${it.message}`).join('\n');
      return { accepted: false, reason: 'Invalid', message, policyGeneration };
    }
    const found = policies.flatMap(hints);
    const message = found.length > 0 ? `in force; ${found.join('; ')}` : 'in force';
    return { accepted: true, reason: 'Valid', message, policyGeneration };
  }
}
