// SPDX-License-Identifier: Apache-2.0
//
// The streams that are connected, one for each node.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { BoundedLog } from '../bounded_log.js';
import type { AgentCertificate, Proof } from '../identity/agent_certificate.js';
import type { Enrolment } from '../identity/enrolment.js';
import type { NodeIdentities } from '../identity/nodes.js';
import type { Audit } from '../identity/record.js';
import type { types } from '../ingest/wire.js';
import type { Logger } from '../logger.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Store } from '../store/store.js';
import { AgentStream } from './agent_stream.js';
import type { Frame } from './frames.js';
import { Inbound } from './inbound.js';
import type { Answer, Question } from './questions.js';

export type AgentCall = ServerDuplexStream<Frame, types.cellwall.v1.StreamResponse.$Properties>;

/** Who agents are, and how they prove it. */
export interface AgentAccess {
  /** Undefined: in plain text, on loopback, they prove nothing. */
  readonly proof: Proof | undefined;
  readonly nodes: NodeIdentities;
  /** Undefined: the authority of agents is not ours. */
  readonly enrolment: Enrolment | undefined;
  readonly audit: Audit;
}

/** Of seeing to nodes that lack something, between which everything else has its turn. */
const SLICE_MS = 5;
/** In ten seconds: a whole cluster can come back at once. */
const MOST_COMINGS_TOLD = 500;

export class Agents {
  readonly store: Store;
  readonly rollout: Rollout;
  readonly access: AgentAccess;
  /** Of the data folder. */
  readonly storeId: string;
  readonly inbound = new Inbound();
  /** What agents have done wrong. */
  readonly complaints: BoundedLog;
  /** Agents that come and go. */
  readonly comings: BoundedLog;
  readonly #streams = new Map<number, AgentStream>();
  readonly #byNode = new Map<string, AgentStream>();
  /** May lack something of the newest rule sets. */
  readonly #behind = new Set<AgentStream>();
  /** Malformed batches; each ended its stream. */
  refusedBatches = 0;
  #next = 1;

  constructor(store: Store, rollout: Rollout, access: AgentAccess, storeId: string, log: Logger) {
    this.store = store;
    this.rollout = rollout;
    this.access = access;
    this.storeId = storeId;
    this.complaints = new BoundedLog(log, 'more messages of agents were refused');
    this.comings = new BoundedLog(log, 'more agents connected and disconnected', MOST_COMINGS_TOLD);
    store.on('acknowledged', ({ stream, sequence, committed }) => {
      this.inbound.release(stream);
      this.#streams.get(stream)?.acknowledge(sequence, committed);
    });
    store.on('refused', ({ stream, message }) => {
      this.inbound.release(stream);
      this.#streams.get(stream)?.refuse(message);
    });
    rollout.on('changed', () => this.#catchUp());
    access.nodes.on('revoked', (node) => this.#byNode.get(node)?.recheck());
    access.enrolment?.trust.on('changed', () => {
      for (const stream of this.#streams.values()) stream.authoritiesChanged();
    });
  }

  /** One node after the other: between a few, the server sees to everything else. */
  #catchUp(): void {
    const waiting = this.#behind.size > 0;
    for (const stream of this.#byNode.values()) this.#behind.add(stream);
    if (!waiting && this.#behind.size > 0) setImmediate(() => this.#serveSome());
  }

  #serveSome(): void {
    const endMs = performance.now() + SLICE_MS;
    for (const stream of this.#behind) {
      this.#behind.delete(stream);
      stream.catchUp();
      if (performance.now() >= endMs) break;
    }
    if (this.#behind.size > 0) setImmediate(() => this.#serveSome());
  }

  readonly accept = (call: AgentCall): void => {
    const number = this.#next++;
    this.#streams.set(number, new AgentStream(this, number, call));
  };

  /** An agent that was restarted is back before its old stream is known to be dead. */
  joined(node: string, stream: AgentStream): void {
    this.#byNode.get(node)?.replaced();
    this.#byNode.set(node, stream);
  }

  left(number: number, node: string | undefined, stream: AgentStream): void {
    this.#streams.delete(number);
    if (node !== undefined && this.#byNode.get(node) === stream) this.#byNode.delete(node);
  }

  /** null: the agent is away, or does not answer in time. */
  async ask(node: string, question: Question): Promise<Answer | null> {
    return (await this.#byNode.get(node)?.ask(question)) ?? null;
  }

  isConnected(node: string): boolean {
    return this.#byNode.has(node);
  }

  /** Undefined: away, or in plain text. */
  certificateOf(node: string): AgentCertificate | undefined {
    return this.#byNode.get(node)?.certificate;
  }

  /** Those that are connected. */
  nodes(): string[] {
    return [...this.#byNode.keys()];
  }

  get connected(): number {
    return this.#byNode.size;
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.serverStops();
    this.complaints.close();
    this.comings.close();
  }
}
