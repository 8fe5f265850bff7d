// SPDX-License-Identifier: Apache-2.0
//
// The HTTP API as commands use it.
import { readFileSync } from 'node:fs';
import { ERRORS, type ErrorCode, EXIT } from '../errors.js';

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
  /** For the whole answer. */
  readonly timeoutMs?: number;
}

/** A list is sent as one parameter for each entry. */
export type Query = Readonly<Record<string, string | readonly string[] | undefined>>;

interface ErrorBody {
  error?: { code?: ErrorCode; message?: string; details?: { where: string; message: string }[] };
}

export class Client {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    if (!/^https?:\/\/[^/]+\/?$/.test(connection.server))
      throw new CommandError(`--server ${connection.server}: give it as http://HOST:PORT`, EXIT.usage);
    this.#connection = connection;
  }

  async #fetch(method: string, path: string, query: Query, body?: string): Promise<Response> {
    const url = new URL(path, this.#connection.server);
    for (const [name, value] of Object.entries(query))
      for (const one of [value ?? []].flat()) url.searchParams.append(name, one);
    const headers: Record<string, string> = {};
    if (this.#connection.token) headers.authorization = `Bearer ${this.#connection.token}`;
    if (body !== undefined) headers['content-type'] = 'application/yaml';
    const { timeoutMs } = this.#connection;
    const signal = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs);
    let response: Response;
    try {
      response = await fetch(url, { method, headers, signal, ...(body !== undefined && { body }) });
    } catch (error) {
      const cause = (error as { cause?: { code?: string; message?: string } }).cause;
      const why = cause?.message || cause?.code || (error as Error).message;
      throw new CommandError(
        `the server ${this.#connection.server} cannot be reached (${why}); is it running, and is --server or CELLWALL_SERVER right?`,
        EXIT.unreachable,
      );
    }
    if (response.ok) return response;
    const { error } = (await response.json().catch(() => ({}))) as ErrorBody;
    const exit = error?.code !== undefined && error.code in ERRORS ? ERRORS[error.code].exit : EXIT.unavailable;
    throw new CommandError(
      error?.message ?? `the server answered ${response.status} ${response.statusText}`,
      exit,
      error?.details,
    );
  }

  async json<T>(method: string, path: string, query: Query = {}, body?: string): Promise<T> {
    return (await (await this.#fetch(method, path, query, body)).json()) as T;
  }

  /** Lines of a stream, until it ends or the reader leaves. */
  async *lines(path: string, query: Query): AsyncGenerator<string> {
    const response = await this.#fetch('GET', path, query);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of response.body ?? []) {
      rest += decoder.decode(chunk as Uint8Array, { stream: true });
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
