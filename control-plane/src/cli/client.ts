// SPDX-License-Identifier: Apache-2.0
//
// The HTTP API as commands use it.
import { readFileSync } from 'node:fs';
import { ERRORS, type ErrorCode, EXIT } from '../errors.js';
import { type Answer, httpRequest } from '../http_request.js';

/** An error with the exit code that it ends the process with. */
export class CommandError extends Error {
  readonly exit: number;
  readonly details: readonly { where: string; message: string }[];

  constructor(message: string, exit: number, details: readonly { where: string; message: string }[] = []) {
    super(message);
    this.exit = exit;
    this.details = details;
  }
}

export interface Connection {
  readonly server: string;
  readonly token: string | undefined;
  /** In PEM form; in place of the system's authorities. */
  readonly ca?: string | undefined;
  /** For the whole answer. */
  readonly timeoutMs?: number;
}

/** A list is sent as one parameter for each entry. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

interface ErrorBody {
  error?: { code?: ErrorCode; message?: string; details?: { where: string; message: string }[] };
}

/** The server is there, and its certificate is not trusted. */
const TRUST: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

function refusal({ status, statusText }: Answer, text: string): CommandError {
  let body: ErrorBody = {};
  try {
    body = JSON.parse(text) as ErrorBody;
  } catch {
    // Not one of our servers.
  }
  const { error } = body;
  const exit = error?.code !== undefined && error.code in ERRORS ? ERRORS[error.code].exit : EXIT.unavailable;
  return new CommandError(error?.message ?? `the server answered ${status} ${statusText}`, exit, error?.details);
}

export class Client {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    if (!/^https?:\/\/[^/]+\/?$/.test(connection.server))
      throw new CommandError(`--server ${connection.server}: give it as http://HOST:PORT`, EXIT.usage);
    this.#connection = connection;
  }

  async #ask(method: string, path: string, query: Query, body?: string, type = 'application/yaml'): Promise<Answer> {
    const url = new URL(path, this.#connection.server);
    for (const [name, value] of Object.entries(query))
      for (const one of [value ?? []].flat()) url.searchParams.append(name, one);
    const headers: Record<string, string> = {};
    if (this.#connection.token) headers.authorization = `Bearer ${this.#connection.token}`;
    if (body !== undefined) headers['content-type'] = type;
    const { timeoutMs, ca } = this.#connection;
    let answer: Answer;
    try {
      answer = await httpRequest(url, { method, headers, body, ca, timeoutMs });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const hint = TRUST.has(code ?? '')
        ? 'name the authority that has signed its certificate with --tls-ca or CELLWALL_CA'
        : 'is it running, and is --server or CELLWALL_SERVER right?';
      throw new CommandError(
        `the server ${this.#connection.server} cannot be reached (${message || code}); ${hint}`,
        EXIT.unreachable,
      );
    }
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw refusal(answer, await answer.text().catch(() => ''));
  }

  async json<T>(method: string, path: string, query: Query = {}, body?: string): Promise<T> {
    return JSON.parse(await (await this.#ask(method, path, query, body)).text()) as T;
  }

  /** With a body in JSON. */
  async send<T>(method: string, path: string, body: object): Promise<T> {
    return JSON.parse(await (await this.#ask(method, path, {}, JSON.stringify(body), 'application/json')).text()) as T;
  }

  /** Lines of a stream, until it ends or the reader leaves. */
  async *lines(path: string, query: Query): AsyncGenerator<string> {
    const answer = await this.#ask('GET', path, query);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of answer.chunks()) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      yield* lines.filter((line) => line !== '');
    }
  }
}

export function readInput(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file === '-' ? 'standard input' : file}: ${(error as Error).message}`, EXIT.usage);
  }
}
