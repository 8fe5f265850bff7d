// SPDX-License-Identifier: Apache-2.0
import type { Details, Head, NewAuditEntry } from '../audit/chain.js';
import { CellwallError } from '../errors.js';
import { type Gate, holdAt } from './backup/gate.js';
import type { ClusterRow } from './cluster_rows.js';
import type { IssuedCertificate, JoinTokenRow, NewJoinToken, NodeIdentity, TokenUse } from './identities.js';
import { isOutOfSpace } from './open.js';
import type { Origin, StoredPolicy } from './policies.js';
import type { Decision, NewProposal, StoredProposal } from './proposals.js';
import type { NewStaged, StagedPolicy } from './staged.js';
import type { ClusterFacts, ContainerFacts } from './state.js';
import type { Storage } from './storage.js';
import type { NewToken, StoredToken } from './tokens.js';
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
  /** What Kubernetes said last. */
  cluster(): ClusterRow[];
  changeCluster(rows: readonly ClusterRow[]): void;
  /** Writes nothing until the snapshot of a backup is taken. */
  hold(gate: Gate): void;
  /** For a damage that a reader has met. */
  quarantine(day: string, inode?: number): void;
  policies(): { generation: number; policies: StoredPolicy[] };
  /** Puts and deletes together, as one new generation; returns it. decision: of the proposal that this is. */
  changePolicies(
    put: readonly { key: string; namespace: string; name: string; document: string; text: string; origin: Origin }[],
    remove: readonly string[],
    audit: readonly NewAuditEntry[],
    decision?: Decision,
  ): number;
  staged(): StagedPolicy[];
  stage(policies: readonly NewStaged[], author: string, audit: readonly NewAuditEntry[]): void;
  unstage(key: string, audit: NewAuditEntry): void;
  ruleNumbers(rules: readonly (readonly [policy: string, rule: string])[]): number[];
  audit(actor: string, action: string, subject: string, details: Details): Head;
  auditHead(): Head;
  tokens(): StoredToken[];
  createToken(token: NewToken, audit: NewAuditEntry): void;
  revokeToken(id: string, audit: NewAuditEntry): void;
  tokenUsed(id: string): void;
  propose(proposal: NewProposal, audit: NewAuditEntry): number;
  /** The dry run was made again. */
  renewProposal(id: number, generation: number, effect: string): void;
  /** false: it is not open any more. */
  decideProposal(decision: Decision, audit: NewAuditEntry): boolean;
  proposal(id: number): StoredProposal | undefined;
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
  identity(node: string): NodeIdentity | undefined;
}

/** Tokens that are good for nothing are listed for so long. */
const FORGET_TOKENS_US = 90 * 86_400e6;

/** What agents tell of themselves: a full disk must not keep them from their policies. */
const NOTES: ReadonlySet<string> = new Set<keyof WriterMethods>([
  'hello',
  'applied',
  'statistics',
  'updateContainers',
  'tokenUsed',
  'certificateReported',
  'changeCluster',
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
      return this.#queue.urgent(transact);
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
      cluster: () => state.cluster.all(),
      changeCluster: (rows) => state.cluster.change(rows),
      hold: holdAt,
      quarantine: (day, inode) => this.#storage.quarantine(day, nowUs, inode),
      policies: () => ({ generation: state.policies.generation(), policies: state.policies.all() }),
      changePolicies: (put, remove, audit, decision) => {
        if (decision && !state.proposals.decide(decision, nowUs))
          throw new CellwallError('conflict', `proposal ${decision.id} is not open any more`);
        const generation = state.policies.generation() + 1;
        state.policies.setGeneration(generation);
        for (const policy of put) {
          state.policies.put({ ...policy, generation }, nowUs);
          state.staged.promoted(policy);
        }
        for (const key of remove) {
          state.policies.delete(key);
          state.staged.delete(key);
        }
        for (const { details, ...entry } of audit)
          state.audit.append({ ...entry, details: { ...details, generation } }, nowUs);
        return generation;
      },
      staged: () => state.staged.all(),
      stage: (policies, author, audit) => {
        for (const it of policies) state.staged.put(it, author, nowUs);
        for (const it of audit) state.audit.append(it, nowUs);
      },
      unstage: (key, audit) => {
        if (state.staged.delete(key)) state.audit.append(audit, nowUs);
      },
      ruleNumbers: (rules) => rules.map(([policy, rule]) => state.policies.ruleNumber(policy, rule)),
      audit: (actor, action, subject, details) => state.audit.append({ actor, action, subject, details }, nowUs),
      auditHead: () => state.audit.head(),
      tokens: () => state.tokens.all(),
      createToken: (token, audit) => {
        state.tokens.forget(nowUs - FORGET_TOKENS_US);
        state.tokens.create(token, nowUs);
        state.audit.append(audit, nowUs);
      },
      revokeToken: (id, audit) => {
        state.tokens.revoke(id, nowUs);
        state.audit.append(audit, nowUs);
      },
      tokenUsed: (id) => state.tokens.used(id, nowUs),
      propose: (proposal, audit) => {
        const id = state.proposals.add(proposal, nowUs);
        state.audit.append({ ...audit, subject: `proposal/${id}` }, nowUs);
        return id;
      },
      renewProposal: (id, generation, effect) => state.proposals.renew(id, generation, effect),
      decideProposal: (decision, audit) => {
        const done = state.proposals.decide(decision, nowUs);
        if (done) state.audit.append(audit, nowUs);
        return done;
      },
      proposal: (id) => state.proposals.one(id),
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
      identity: (node) => identities.one(node),
    };
  }
}
