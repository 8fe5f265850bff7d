// SPDX-License-Identifier: Apache-2.0
//
// Versions of policies that are tried beside those in force: no agent knows of them. What they would say of a flow is worked out when
// it is asked for, from the flow as it is stored.
import { setImmediate as breathe } from 'node:timers/promises';
import type { NewAuditEntry } from '../audit/chain.js';
import { CellwallError } from '../errors.js';
import { PendingJudge } from '../flows/pending.js';
import type { Peer, Pending, StoredFlow } from '../flows/record.js';
import { type Policy, parseObject } from '../policy/index.js';
import type { StagedPolicy } from '../store/staged.js';
import type { Store } from '../store/store.js';
import type { Plan } from './plan.js';
import type { Rollout } from './rollout.js';

/** What is asked for more often is judged by containers as they were so long ago. */
const FRESH_MS = 1000;
/** Flows between two breaths. */
const SLICE = 50;

interface Versions {
  readonly generation: number;
  readonly stored: readonly StagedPolicy[];
  readonly policies: readonly Policy[];
}

export class Staging {
  readonly #store: Store;
  readonly #rollout: Rollout;
  #versions: Versions | undefined;
  #judge: { readonly of: Versions; readonly madeMs: number; readonly judge: PendingJudge } | undefined;

  constructor(store: Store, rollout: Rollout) {
    this.#store = store;
    this.#rollout = rollout;
  }

  /** Read again when policies have changed: that may have put some in force. */
  async #read(): Promise<Versions> {
    const { generation } = this.#rollout;
    if (this.#versions?.generation === generation) return this.#versions;
    const stored = await this.#store.writer.call('staged');
    const policies = stored.flatMap((it) => parseObject(JSON.parse(it.document), it.key).policies);
    this.#versions = { generation, stored, policies };
    return this.#versions;
  }

  async all(): Promise<readonly StagedPolicy[]> {
    return (await this.#read()).stored;
  }

  async one(key: string): Promise<StagedPolicy> {
    const found = (await this.all()).find((it) => it.key === key);
    if (!found)
      throw new CellwallError(
        'not_found',
        `${key} has no staged version; 'cellwall policy staged' lists those there are`,
      );
    return found;
  }

  /** All that a plan would change. */
  async put({ put, applied }: Plan, author: string, audit: readonly NewAuditEntry[]): Promise<void> {
    const changed = put.filter((_, index) => applied[index]?.change !== 'unchanged');
    const observation = changed.find(({ key }) => key.startsWith('observation:'));
    if (observation)
      throw new CellwallError('conflict', `${observation.key} judges no flow, so there is nothing to stage: apply it`);
    if (changed.length === 0)
      throw new CellwallError('conflict', 'this would change nothing: the policies are like that already');
    await this.#store.writer.call('stage', changed, author, audit);
    this.#versions = undefined;
  }

  async remove(key: string, audit: NewAuditEntry): Promise<void> {
    await this.one(key);
    await this.#store.writer.call('unstage', key, audit);
    this.#versions = undefined;
  }

  /** Of each flow; the server sees to something else now and then. */
  async pending(flows: readonly StoredFlow[], peers: readonly (Peer | null)[]): Promise<(Pending | null)[]> {
    const judge = await this.#current();
    const answers: (Pending | null)[] = [];
    for (const [index, flow] of flows.entries()) {
      answers.push(judge?.judge(flow, peers[index] ?? null) ?? null);
      if (judge && index % SLICE === SLICE - 1) await breathe();
    }
    return answers;
  }

  /** undefined: nothing is staged. */
  async #current(): Promise<PendingJudge | undefined> {
    const versions = await this.#read();
    if (versions.policies.length === 0) return undefined;
    const nowMs = performance.now();
    if (this.#judge?.of !== versions || nowMs - this.#judge.madeMs > FRESH_MS)
      this.#judge = { of: versions, madeMs: nowMs, judge: new PendingJudge(this.#rollout.world(), versions.policies) };
    return this.#judge.judge;
  }
}
