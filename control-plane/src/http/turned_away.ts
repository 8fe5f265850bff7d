// SPDX-License-Identifier: Apache-2.0
//
// Who was told to come again later, and asks again over the same connection with the same token before then, is told so without
// being looked at anew: a flood then costs little more than its reading, and others wait for less.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { toPlain } from '../errors.js';

interface Told {
  readonly authorization: string | undefined;
  readonly untilMs: number;
  readonly body: string;
  readonly count: () => void;
}

export class TurnedAway {
  readonly #told = new WeakMap<Socket, Told>();

  /** The request is answered with this error; count is called for each of those that are turned away like it. */
  tell({ socket, headers }: IncomingMessage, error: Error, seconds: number, count: () => void): void {
    const { code, message } = toPlain(error);
    this.#told.set(socket, {
      authorization: headers.authorization,
      untilMs: performance.now() + seconds * 1000,
      body: JSON.stringify({ error: { code, message } }),
      count,
    });
  }

  /** Whether the request was answered. */
  answer({ socket, headers }: IncomingMessage, response: ServerResponse): boolean {
    const told = this.#told.get(socket);
    if (!told || told.authorization !== headers.authorization) return false;
    const leftMs = told.untilMs - performance.now();
    if (leftMs <= 0) {
      this.#told.delete(socket);
      return false;
    }
    told.count();
    response
      .writeHead(429, { 'content-type': 'application/json', 'retry-after': String(Math.ceil(leftMs / 1000)) })
      .end(told.body);
    return true;
  }
}
