// SPDX-License-Identifier: Apache-2.0
import { CellwallError } from '../errors.js';
import type { IssuedCertificate, JoinTokenRow, NewJoinToken, NodeIdentity, TokenUse } from './identities.js';
import { isOutOfSpace } from './open.js';
import type { StoredPolicy } from './policies.js';
import type { ClusterFacts, ContainerFacts } from './state.js';
import type { Storage } from './storage.js';
import type { WriteQueue } from './write_queue.js';

/** Writes other than flows. Each is one transaction. */
export interface WriterMethods {
  committed(node: string, epoch: string): number;
  hello(node: string, epoch: string, hello: string): void;
  applied(node: string, generation: number, error: string): void;
  statistics(node: string, counters: string): void;
  updateContainers(
    node: string,
    epoch: string,
    facts: readonly ContainerFacts[],
    removed: readonly number[],
    complete: boolean,
  ): void;
  containers(node: string, epoch: string): ContainerFacts[];
  inventory(): ClusterFacts;
  /** For a damage that a reader has met. */
  quarantine(day: string, inode: number): void;
  policies(): { generation: number; policies: StoredPolicy[] };
  /** Puts and deletes together, as one new generation; returns it. */
  changePolicies(
    put: readonly { key: string; namespace: string; name: string; document: string }[],
    remove: readonly string[],
  ): number;
  ruleNumbers(rules: readonly (readonly [policy: string, rule: string])[]): number[];
  /** To this, when it is smaller. */
  raiseGeneration(generation: number): void;
  storeId(fresh: string): string;
  addJoinToken(token: NewJoinToken): void;
  joinTokens(): JoinTokenRow[];
  revokeJoinToken(id: string): boolean;
  useJoinToken(use: TokenUse): void;
  certificateIssued(certificate: IssuedCertificate): void;
  certificateReported(node: string, error: string): void;
  revokeNode(node: string): void;
  allowNode(node: string, acceptedFromUs: number): boolean;
  identities(): NodeIdentity[];
}

/** What agents tell of themselves: a full disk must not keep them from their policies. */
const NOTES: ReadonlySet<string> = new Set<keyof WriterMethods>([
  'hello',
  'applied',
  'statistics',
  'updateContainers',
  'certificateReported',
]);

export class WriterCalls {
  readonly #storage: Storage;
  readonly #queue: WriteQueue;

  constructor(storage: Storage, queue: WriteQueue) {
    this.#storage = storage;
    this.#queue = queue;
  }

  run(method: string, args: unknown[], nowUs: number): unknown {
    const methods = this.#methods(nowUs) as unknown as Record<string, (...args: unknown[]) => unknown>;
    const run = methods[method];
    if (!run) throw new Error(`the writer has no method ${method}`);
    const transact = () => this.#storage.state.transaction(() => run(...args));
    if (NOTES.has(method)) return this.#queue.note(transact);
    try {
      return transact();
    } catch (error) {
      if (!isOutOfSpace(error)) throw error;
      throw new CellwallError(
        'store_unavailable',
        `nothing was changed: ${(error as Error).message}; make room on the disk of the data folder`,
      );
    }
  }

  #methods(nowUs: number): WriterMethods {
    const { state } = this.#storage;
    const { identities } = state;
    return {
      committed: (node, epoch) => this.#storage.committed(node, epoch),
      hello: (node, epoch, hello) => state.hello(node, epoch, hello, nowUs),
      applied: (node, generation, error) => state.applied(node, generation, error, nowUs),
      statistics: (node, counters) => state.statistics(node, counters, nowUs),
      updateContainers: (node, epoch, facts, removed, complete) =>
        state.updateContainers(node, epoch, facts, removed, complete, nowUs),
      containers: (node, epoch) => state.containers(node, epoch),
      inventory: () => state.inventory(),
      quarantine: (day, inode) => this.#storage.quarantine(day, nowUs, inode),
      policies: () => ({ generation: state.policies.generation(), policies: state.policies.all() }),
      changePolicies: (put, remove) => {
        const generation = state.policies.generation() + 1;
        state.policies.setGeneration(generation);
        for (const policy of put) state.policies.put({ ...policy, generation }, nowUs);
        for (const key of remove) state.policies.delete(key);
        return generation;
      },
      ruleNumbers: (rules) => rules.map(([policy, rule]) => state.policies.ruleNumber(policy, rule)),
      raiseGeneration: (generation) => state.policies.setGeneration(Math.max(generation, state.policies.generation())),
      storeId: (fresh) => identities.storeId(fresh),
      addJoinToken: (token) => identities.addJoinToken(token, nowUs),
      joinTokens: () => identities.joinTokens(),
      revokeJoinToken: (id) => identities.revokeJoinToken(id, nowUs),
      useJoinToken: (use) => identities.useJoinToken(use, nowUs),
      certificateIssued: (certificate) => identities.issued(certificate, nowUs),
      certificateReported: (node, error) => identities.reported(node, error),
      revokeNode: (node) => identities.revoke(node, nowUs),
      allowNode: (node, acceptedFromUs) => identities.allow(node, acceptedFromUs),
      identities: () => identities.all(),
    };
  }
}
