// SPDX-License-Identifier: Apache-2.0
//
// The API server of Kubernetes, asked with the service account of this pod.
import { readFileSync } from 'node:fs';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { CellwallError } from '../errors.js';
import { Lines } from './lines.js';

export interface KubernetesOptions {
  /** https://HOST:PORT */
  readonly api: string;
  /** Of the pod's service account: token, ca.crt. */
  readonly folder: string;
}

/** It answered, but not with what was asked for. */
export class RefusedByApi extends CellwallError {
  readonly status: number;
  /** It asks not to be asked again before. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, retryAfterMs?: number) {
    super('store_unavailable', message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export interface Question {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly body?: object | undefined;
  /** Of the answer. */
  readonly mostBytes?: number;
  /** Media types. */
  readonly accept?: string | undefined;
}

export interface Watcher {
  opened(): void;
  line(text: string): void;
}

const PATIENCE_MS = 5000;
/** A pod with all its fields is some 100 KiB. */
const LARGEST_ANSWER = 2 << 20;
/** Under way; more are refused. */
const MOST_ASKED = 20;
/** A line of a watch is one object, which the API server keeps below 2 MiB or so. */
const LONGEST_LINE = 8 << 20;
const KEEP_ALIVE_MS = 15_000;

export class KubernetesApi {
  readonly #options: KubernetesOptions;
  #asked = 0;

  /** Throws invalid_option: there is no service account. */
  constructor(options: KubernetesOptions) {
    this.#options = options;
    try {
      this.#read('token');
      this.#read('ca.crt');
    } catch (error) {
      throw new CellwallError(
        'invalid_option',
        `--kubernetes-account: this pod has no service account (${(error as Error).message})`,
      );
    }
  }

  /** Each time: the kubelet replaces it. */
  #read(name: string): string {
    return readFileSync(join(this.#options.folder, name), 'utf8').trim();
  }

  /** Throws store_unavailable: nobody answers, or not with what was asked for (RefusedByApi). */
  ask<T>(method: Question['method'], path: string, body?: object): Promise<T> {
    return this.answer<T>({ method, path, body });
  }

  /** Throws as ask. */
  async answer<T>(question: Question): Promise<T> {
    if (this.#asked >= MOST_ASKED)
      throw new CellwallError(
        'store_unavailable',
        'too many questions wait for the API server of Kubernetes; try again',
      );
    this.#asked++;
    const signal = AbortSignal.timeout(PATIENCE_MS);
    try {
      return JSON.parse(await this.#text(question, signal)) as T;
    } catch (error) {
      throw this.#explained(signal.aborted ? new Error(`no answer within ${PATIENCE_MS} ms`) : error);
    } finally {
      this.#asked--;
    }
  }

  /** Gives each line as it comes, until the API server ends the answer. Throws as ask. */
  async watch(path: string, { opened, line }: Watcher, signal: AbortSignal, accept?: string): Promise<void> {
    try {
      const response = await this.#send({ method: 'GET', path, accept }, signal, (asked) => {
        asked.setSocketKeepAlive(true, KEEP_ALIVE_MS);
      });
      if (response.statusCode !== 200) throw await refusal(response, 'GET', path);
      opened();
      const lines = new Lines(LONGEST_LINE, line);
      for await (const part of response) lines.add(part as Buffer);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  #explained(error: unknown): CellwallError {
    if (error instanceof RefusedByApi) return error;
    return new CellwallError('store_unavailable', `the API server of Kubernetes: ${(error as Error).message}`);
  }

  async #text(question: Question, signal: AbortSignal): Promise<string> {
    const response = await this.#send(question, signal);
    const isGood = response.statusCode === 200 || response.statusCode === 201;
    if (!isGood) throw await refusal(response, question.method, question.path);
    return textOf(response, question.mostBytes ?? LARGEST_ANSWER);
  }

  #send(
    { method, path, body, accept = 'application/json' }: Question,
    signal: AbortSignal,
    prepare: (asked: ClientRequest) => void = () => {},
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = {
      authorization: `Bearer ${this.#read('token')}`,
      accept,
      ...(text !== undefined && { 'content-type': type, 'content-length': Buffer.byteLength(text) }),
    };
    const url = new URL(path, this.#options.api);
    return new Promise((resolve, reject) => {
      const asked = request(url, { method, headers, ca: this.#read('ca.crt'), signal }, resolve);
      asked.on('error', reject);
      prepare(asked);
      asked.end(text);
    });
  }
}

async function textOf(response: IncomingMessage, mostBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size > mostBytes) throw new Error('its answer is too large');
  }
  return Buffer.concat(parts).toString('utf8');
}

/** What it says goes into the message: of a missing right, whose and which. */
async function refusal(response: IncomingMessage, method: string, path: string): Promise<RefusedByApi> {
  const status = response.statusCode ?? 0;
  let why = '';
  try {
    const { message } = JSON.parse(await textOf(response, LARGEST_ANSWER)) as { message?: unknown };
    if (typeof message === 'string') why = `: ${message.slice(0, 500)}`;
  } catch {
    // Not a Status of Kubernetes.
  }
  const where = path.split('?')[0];
  const message = `the API server of Kubernetes: ${method} ${where} was answered with ${status}${why}`;
  return new RefusedByApi(status, message, secondsOf(response.headers['retry-after']));
}

/** In milliseconds. Kubernetes writes seconds, never a date. */
function secondsOf(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,9}$/.test(header) ? Number(header) * 1000 : undefined;
}
