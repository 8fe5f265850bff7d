// SPDX-License-Identifier: Apache-2.0
//
// One request over HTTP or HTTPS. Not fetch: in Node 20, it cannot be told of an authority.
import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';

export interface RequestOptions {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Certificates in PEM form that are trusted in place of the system's. */
  readonly ca?: string | undefined;
  /** For the whole answer. */
  readonly timeoutMs?: number | undefined;
}

/** Of an answer that is read whole. */
const MOST_BYTES = 256 << 20;

export class Answer {
  readonly status: number;
  readonly #message: IncomingMessage;

  constructor(message: IncomingMessage) {
    this.#message = message;
    this.status = message.statusCode ?? 0;
  }

  get statusText(): string {
    return this.#message.statusMessage ?? '';
  }

  header(name: string): string | undefined {
    const value = this.#message.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  async text(): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.#message) {
      length += (chunk as Buffer).length;
      if (length > MOST_BYTES) throw new Error(`the answer is larger than ${MOST_BYTES} bytes`);
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  chunks(): AsyncIterable<Uint8Array> {
    return this.#message;
  }
}

export function httpRequest(url: URL, options: RequestOptions): Promise<Answer> {
  const { method, headers, body, ca, timeoutMs } = options;
  const send = url.protocol === 'https:' ? tlsRequest : plainRequest;
  return new Promise((resolve, reject) => {
    const signal = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const asked = send(
      url,
      {
        method,
        headers: { ...headers, ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }) },
        ...(ca !== undefined && { ca }),
        ...(signal && { signal }),
      },
      (message) => resolve(new Answer(message)),
    );
    asked.on('error', (error: NodeJS.ErrnoException) =>
      reject(signal?.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error),
    );
    asked.end(body);
  });
}
