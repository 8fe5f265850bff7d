// SPDX-License-Identifier: Apache-2.0
//
// The API server of Kubernetes, asked with the service account of this pod.
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { CellwallError } from '../errors.js';

export interface KubernetesOptions {
  /** https://HOST:PORT */
  readonly api: string;
  /** Of the pod's service account: token, ca.crt. */
  readonly folder: string;
}

const PATIENCE_MS = 5000;
/** A pod with all its fields is some 100 KiB. */
const LARGEST_ANSWER = 2 << 20;
/** Under way; more are refused. */
const MOST_ASKED = 20;

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

  /** Throws store_unavailable: nobody answers, or not with what was asked for. */
  async ask<T>(method: 'GET' | 'POST', path: string, body?: object): Promise<T> {
    if (this.#asked >= MOST_ASKED)
      throw new CellwallError(
        'store_unavailable',
        'too many questions wait for the API server of Kubernetes; try again',
      );
    this.#asked++;
    try {
      return JSON.parse(await this.#send(method, path, body)) as T;
    } catch (error) {
      throw new CellwallError('store_unavailable', `the API server of Kubernetes: ${(error as Error).message}`);
    } finally {
      this.#asked--;
    }
  }

  #send(method: string, path: string, body?: object): Promise<string> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const headers = {
      authorization: `Bearer ${this.#read('token')}`,
      accept: 'application/json',
      ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      const asked = request(
        new URL(path, this.#options.api),
        { method, headers, ca: this.#read('ca.crt'), signal },
        (response) => {
          const parts: Buffer[] = [];
          let size = 0;
          response.on('data', (part: Buffer) => {
            parts.push(part);
            size += part.length;
            if (size > LARGEST_ANSWER) asked.destroy(new Error('its answer is too large'));
          });
          response.on('error', reject);
          response.on('end', () => {
            if (response.statusCode !== 200 && response.statusCode !== 201)
              reject(new Error(`${method} ${path} was answered with ${response.statusCode}`));
            else resolve(Buffer.concat(parts).toString('utf8'));
          });
        },
      );
      asked.on('error', (error) => reject(signal.aborted ? new Error(`no answer within ${PATIENCE_MS} ms`) : error));
      asked.end(text);
    });
  }
}
