// SPDX-License-Identifier: Apache-2.0
//
// The far end of the wire for tests: a real gRPC client that says what it is told to.
import { type ClientDuplexStream, credentials, makeClientConstructor, type StatusObject } from '@grpc/grpc-js';
import { AGENT_SERVICE } from '../grpc/frames.js';
import { type types, v1 } from '../ingest/wire.js';

type Request = types.cellwall.v1.StreamRequest.$Properties;
type Response = types.cellwall.v1.StreamResponse.$Properties;

const Client = makeClientConstructor(
  { stream: { ...AGENT_SERVICE.stream, requestSerialize: (data: Buffer) => data } },
  'cellwall.v1.AgentService',
);

export class TestAgent {
  readonly #client: InstanceType<typeof Client>;
  readonly #call: ClientDuplexStream<Buffer, Response>;
  readonly #received: Response[] = [];
  #wake: () => void = () => {};
  /** How the server ended the stream. */
  readonly ended: Promise<StatusObject>;

  constructor(address: string, channel = credentials.createInsecure()) {
    // As agents do, each has a connection of its own.
    this.#client = new Client(address, channel, { 'grpc.use_local_subchannel_pool': 1 });
    const client = this.#client as unknown as { stream(): ClientDuplexStream<Buffer, Response> };
    this.#call = client.stream();
    this.#call.on('data', (response: Response) => {
      this.#received.push(response);
      this.#wake();
    });
    this.#call.on('error', () => {});
    this.ended = new Promise((resolve) => this.#call.on('status', resolve));
  }

  send(request: Request): void {
    this.#call.write(Buffer.from(v1.StreamRequest.encode(v1.StreamRequest.create(request)).finish()));
  }

  /** Any bytes in place of a message. */
  sendRaw(data: Uint8Array): void {
    this.#call.write(Buffer.from(data));
  }

  /** A serialized FlowBatch, as it is. */
  sendBatch(batch: Uint8Array): void {
    const length: number[] = [];
    for (let rest = batch.length; ; rest >>>= 7) {
      length.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
      if (rest < 0x80) break;
    }
    this.#call.write(Buffer.concat([Uint8Array.of(0x12, ...length), batch]));
  }

  /** The next response with this field; those before it are dropped. */
  async next<K extends keyof Response>(field: K): Promise<NonNullable<Response[K]>> {
    for (;;) {
      for (let response = this.#received.shift(); response; response = this.#received.shift()) {
        const found = response[field];
        if (found !== undefined && found !== null) return found;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next response with one of these fields. */
  async nextOf(...fields: (keyof Response)[]): Promise<Response> {
    for (;;) {
      for (let response = this.#received.shift(); response; response = this.#received.shift()) {
        const found = response;
        if (fields.some((field) => found[field] !== undefined && found[field] !== null)) return found;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async hello(
    node: string,
    epoch = 'boot.1',
    addresses: string[] = [],
    takesDifferences = false,
  ): Promise<types.cellwall.v1.Welcome.$Properties> {
    this.send({
      hello: {
        node,
        epoch,
        addresses,
        takesDifferences,
        agentVersion: '0.1.0',
        kernelRelease: '6.18',
        architecture: 'x86_64',
      },
    });
    return this.next('welcome');
  }

  /** The sequence that is acknowledged at last. */
  async acknowledged(sequence: number): Promise<number> {
    for (;;) {
      const { sequence: done, committedEventIndex } = await this.next('acknowledge');
      if (done === sequence) return (committedEventIndex ?? 0) as number;
    }
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
