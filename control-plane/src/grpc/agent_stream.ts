// SPDX-License-Identifier: Apache-2.0
import { status } from '@grpc/grpc-js';
import { CellwallError, toPlain } from '../errors.js';
import type { AgentCertificate } from '../identity/agent_certificate.js';
import { toFacts } from '../ingest/containers.js';
import { safe } from '../ingest/safe.js';
import type { types } from '../ingest/wire.js';
import { Feed } from '../policy/index.js';
import { VERSION } from '../version.js';
import type { AgentCall, Agents } from './agents.js';
import { authoritiesOf } from './enrolment_service.js';
import type { Frame } from './frames.js';
import { Outbound } from './outbound.js';
import { Peer } from './peer.js';
import { type Answer, type Question, Questions } from './questions.js';
import { detailsOf, statusOf } from './status.js';

/** Batches that an agent may have under way: so many, or its part of what all may have, some 400 MiB. */
const WINDOW = { most: 32, least: 2, ofAll: 4096 };
export const HEARTBEAT_MS = 5000;
const SILENT_HEARTBEATS = 3;
/** Of messages that are neither flows nor containers; most have some hundred bytes. */
const LARGEST_REPORT = 64 << 10;

type Hello = types.cellwall.v1.Hello.$Properties;

function countersOf(statistics: types.cellwall.v1.Statistics.$Properties): string {
  const counters = statistics.counters ?? {};
  for (const [name, value] of Object.entries(counters)) safe(value as number, `counter ${name}`);
  return JSON.stringify(counters);
}

/** One stream of one agent, from its Hello to its end. */
export class AgentStream {
  readonly #agents: Agents;
  readonly #number: number;
  readonly #call: AgentCall;
  readonly #watchdog: NodeJS.Timeout;
  readonly #questions = new Questions();
  readonly #out: Outbound;
  #peer: Peer | undefined;
  #node: string | undefined;
  #epoch = '';
  #welcomed = false;
  #underWay = 0;
  #feed = new Feed('');
  /** What the agent said last of rule sets. */
  #told = '';
  /** Sent since the last full rule sets: the agent may lack what they amend. */
  #amended = false;
  #takesDifferences = false;
  #window = WINDOW.least;
  /** Heartbeats, not time: when the server itself stood still, what has come meanwhile is read first. */
  #silent = 0;
  #ended = false;
  /** Messages are taken one after the other; the agent waits for its welcome, so that few wait here. */
  #turn: Promise<void> = Promise.resolve();

  constructor(agents: Agents, number: number, call: AgentCall) {
    this.#agents = agents;
    this.#number = number;
    this.#call = call;
    this.#out = new Outbound(call);
    agents.inbound.opened(call);
    this.#watchdog = setInterval(() => this.#watch(), HEARTBEAT_MS);
    call.on('data', (frame: Frame) => {
      this.#silent = 0;
      agents.inbound.take(number, frame.bytes, call);
      this.#turn = this.#turn.then(() => this.#taken(frame)).catch((error: unknown) => this.#fail(error));
    });
    call.on('end', () => this.#end(status.OK, ''));
    call.on('cancelled', () => this.#end(status.CANCELLED, 'the agent went away'));
    call.on('error', () => this.#end(status.CANCELLED, 'the connection broke'));
  }

  async #taken(frame: Frame): Promise<void> {
    // Of a batch, the writer says when it is done.
    let isKept = false;
    try {
      if ('flows' in frame) isKept = this.#takeFlows(frame.flows);
      else await this.#receive(frame);
    } finally {
      if (!isKept) this.#agents.inbound.release(this.#number);
    }
  }

  async #receive(frame: Exclude<Frame, { flows: Uint8Array }>): Promise<void> {
    if (this.#ended) return;
    if ('malformed' in frame) throw new CellwallError('invalid_stream', `malformed message: ${frame.malformed}`);
    const { message } = frame;
    if (message.flows) throw new CellwallError('invalid_stream', 'a message holds flows and something else');
    if (!message.containers && frame.bytes > LARGEST_REPORT)
      throw new CellwallError(
        'invalid_stream',
        `a message of ${frame.bytes} bytes that is neither flows nor containers`,
      );
    if (message.hello) return this.#hello(message.hello);
    if (!this.#node) throw new CellwallError('invalid_stream', 'the first message of a stream is hello');
    if (message.heartbeat) this.#send({ heartbeat: { number: message.heartbeat.number ?? 0 } });
    else if (message.containers) await this.#takeContainers(message.containers);
    else if (message.statistics) await this.#takeStatistics(this.#node, message.statistics);
    else if (message.certificateRequest) await this.#renew(this.#node, message.certificateRequest);
    else if (message.answer) this.#questions.answered(message.answer);
    else if (message.applied) await this.#takeApplied(this.#node, message.applied);
  }

  async #hello(hello: Hello): Promise<void> {
    const node = hello.node ?? '';
    const epoch = hello.epoch ?? '';
    if (this.#node !== undefined) throw new CellwallError('invalid_stream', 'a second hello');
    if (node === '' || epoch === '' || node.length > 253 || epoch.length > 100)
      throw new CellwallError(
        'invalid_stream',
        'hello needs a node (at most 253 characters) and an epoch (at most 100)',
      );
    this.#peer = this.#identify(node);
    this.#node = node;
    this.#epoch = epoch;
    this.#takesDifferences = hello.takesDifferences ?? false;
    this.#agents.joined(node, this);
    const { writer } = this.#agents.store;
    await writer.call('hello', node, epoch, JSON.stringify(hello));
    // Asked after the hello, so behind everything that the stream before has left with the writer.
    const committed = await writer.call('committed', node, epoch);
    // Before the agent lists them again, so that its rule sets do not lack a combination meanwhile.
    const containers = await writer.call('containers', node, epoch);
    if (this.#ended) return;
    this.#agents.rollout.joined(node, hello.addresses ?? [], containers);
    this.#feed = new Feed(node);
    this.#welcomed = true;
    const share = Math.floor(WINDOW.ofAll / this.#agents.rollout.nodes);
    this.#window = Math.max(WINDOW.least, Math.min(WINDOW.most, share));
    this.#send({
      welcome: {
        committedEventIndex: committed,
        window: this.#window,
        heartbeatMilliseconds: HEARTBEAT_MS,
        serverVersion: VERSION,
        store: this.#agents.storeId,
      },
    });
    this.#agents.comings.say(
      'info',
      { node, epoch, agent: hello.agentVersion, kernel: hello.kernelRelease, committed, ...this.#certificateFacts() },
      'agent connected',
    );
    this.#sendAuthorities();
    this.#sendRuleSets();
  }

  #identify(node: string): Peer {
    const { access } = this.#agents;
    try {
      const peer = new Peer(this.#call, access);
      peer.check(node);
      return peer;
    } catch (error) {
      access.audit(this.#call.getPeer(), 'agent.refused', node, { reason: toPlain(error).message });
      throw error;
    }
  }

  #certificateFacts(): object {
    const certificate = this.#peer?.certificate;
    return certificate ? { certificate: certificate.serial, until: new Date(certificate.endsUs / 1000) } : {};
  }

  #sendAuthorities(): void {
    const { enrolment } = this.#agents.access;
    if (enrolment) this.#send({ authorities: authoritiesOf(enrolment) });
  }

  async #takeStatistics(node: string, statistics: types.cellwall.v1.Statistics.$Properties): Promise<void> {
    await this.#agents.store.writer.call('statistics', node, countersOf(statistics));
    await this.#agents.access.nodes.reported(node, (statistics.certificateError ?? '').slice(0, 500));
  }

  async #renew(node: string, request: types.cellwall.v1.CertificateRequest.$Properties): Promise<void> {
    const { enrolment } = this.#agents.access;
    if (!enrolment) throw new CellwallError('invalid_stream', 'this server signs no certificates');
    try {
      const { chain } = await enrolment.renew(node, (request.pkcs10 ?? new Uint8Array()) as Uint8Array);
      if (!this.#ended) this.#send({ certificate: { chain, authorities: authoritiesOf(enrolment) } });
    } catch (error) {
      if (!this.#ended) this.#send({ certificate: { error: toPlain(error).message } });
    }
  }

  /** Ends the stream when its agent may not speak for the node any more. */
  recheck(): void {
    if (this.#ended || this.#node === undefined) return;
    try {
      this.#peer?.check(this.#node);
    } catch (error) {
      this.#fail(error);
    }
  }

  authoritiesChanged(): void {
    this.recheck();
    if (!this.#ended && this.#welcomed) this.#sendAuthorities();
  }

  get certificate(): AgentCertificate | undefined {
    return this.#peer?.certificate;
  }

  /** False: the stream is over. */
  #takeFlows(data: Uint8Array): boolean {
    if (this.#ended) return false;
    if (!this.#node || !this.#welcomed) throw new CellwallError('invalid_stream', 'flows before welcome');
    if (++this.#underWay > this.#window)
      throw new CellwallError('invalid_stream', `more than ${this.#window} batches under way`);
    this.#agents.store.add({ stream: this.#number, node: this.#node, epoch: this.#epoch, data });
    return true;
  }

  async #takeContainers(update: types.cellwall.v1.ContainersUpdate.$Properties): Promise<void> {
    const facts = (update.upserted ?? []).map(toFacts);
    const removed = (update.removed ?? []).map((id) => safe(id as number, 'a cgroup id'));
    const complete = update.complete ?? false;
    const node = this.#node ?? '';
    this.#agents.rollout.update(node, facts, removed, complete);
    await this.#agents.store.writer.call('updateContainers', node, this.#epoch, facts, removed, complete);
  }

  async #takeApplied(node: string, applied: types.cellwall.v1.Applied.$Properties): Promise<void> {
    const generation = safe((applied.generation ?? 0) as number, 'a generation');
    const error = applied.error ?? '';
    if (error !== '')
      this.#agents.complaints.say(
        'error',
        { node, generation, error: error.slice(0, 1000) },
        'the node refused the newest policy',
      );
    // Amendments do not make another generation, and come much more often than one.
    const told = `${generation} ${error}`;
    if (error === '' && told === this.#told) return;
    this.#told = told;
    await this.#agents.store.writer.call('applied', node, generation, error);
    this.#agents.rollout.emit('applied');
    // Once: an agent that refuses the whole would refuse it again.
    if (error !== '' && this.#amended) this.#sendRuleSets();
  }

  #sendRuleSets(): void {
    this.#feed = new Feed(this.#node ?? '');
    this.catchUp();
  }

  /** Sends what the node lacks. */
  catchUp(): void {
    if (this.#ended || !this.#welcomed) return;
    this.#out.push(() => {
      if (this.#ended) return undefined;
      const update = this.#agents.rollout.updateFor(this.#feed, this.#takesDifferences);
      if (update) this.#amended = !('ruleSets' in update);
      return update;
    });
  }

  acknowledge(sequence: number, committed: number): void {
    this.#underWay--;
    this.#send({ acknowledge: { sequence, committedEventIndex: committed } });
  }

  ask(question: Question): Promise<Answer | null> {
    return this.#questions.ask((id) => this.#send({ question: { ...question, id } }));
  }

  refuse(message: string): void {
    this.#agents.refusedBatches++;
    this.#fail(new CellwallError('invalid_batch', message));
  }

  replaced(): void {
    this.#end(status.ABORTED, 'a newer stream of this node has taken over');
  }

  serverStops(): void {
    this.#end(status.UNAVAILABLE, 'the server stops');
  }

  #send(message: types.cellwall.v1.StreamResponse.$Properties): void {
    if (this.#ended) return;
    this.#out.send(message);
    this.#checkReader();
  }

  #checkReader(): void {
    const { trouble } = this.#out;
    if (this.#ended || trouble === undefined) return;
    this.#end(status.RESOURCE_EXHAUSTED, trouble);
    this.#out.reset();
  }

  #watch(): void {
    this.recheck();
    this.#checkReader();
    if (this.#agents.inbound.isPaused(this.#number)) this.#silent = 0;
    if (++this.#silent > SILENT_HEARTBEATS)
      this.#end(status.DEADLINE_EXCEEDED, `nothing heard for ${SILENT_HEARTBEATS} heartbeats`);
  }

  #fail(error: unknown): void {
    const { code, message } = toPlain(error);
    if (!this.#ended)
      this.#agents.complaints.say('error', { node: this.#node, peer: this.#call.getPeer(), code }, message);
    const { code: grpc, details } = statusOf(error);
    this.#end(grpc, details);
  }

  #end(code: number, details: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#watchdog);
    this.#questions.close();
    this.#agents.left(this.#number, this.#node, this);
    this.#agents.inbound.ended(this.#number);
    if (this.#node)
      this.#agents.comings.say(
        'info',
        { node: this.#node, reason: details || 'it closed the stream' },
        'agent disconnected',
      );
    if (code === status.OK) this.#call.end();
    else this.#call.emit('error', { code, details: detailsOf(details) });
  }
}
