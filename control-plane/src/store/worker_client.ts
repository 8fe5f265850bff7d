// SPDX-License-Identifier: Apache-2.0
import { Worker } from 'node:worker_threads';
import { CellwallError, fromPlain } from '../errors.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';

/** Threads are compiled code, also for a main thread that a test runs from the source. */
const COMPILED = import.meta.url.replace(/\/control-plane\/src\/(?=.*\.ts$)/, '/dist/control-plane/src/');

type Methods = object;
type Call<M> = M extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;

/** A storage thread, seen from the main thread. */
export class WorkerClient<M extends Methods> {
  readonly #worker: Worker;
  readonly #calls = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #on: (message: FromWorker) => void;
  #next = 1;
  #closed: (() => void) | undefined;
  #failed: Error | undefined;

  /** `file` is a script beside this one. `on` gets what is no answer to a call; `fail` the end of the thread by an error. */
  constructor(file: string, options: WorkerOptions, on: (message: FromWorker) => void, fail: (error: Error) => void) {
    this.#on = on;
    this.#worker = new Worker(new URL(file, COMPILED), { workerData: options });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (cause) => {
      const error = new CellwallError('store_unavailable', cause.message);
      this.#failed = error;
      for (const call of this.#calls.values()) call.reject(error);
      this.#calls.clear();
      fail(error);
    });
  }

  #receive(message: FromWorker): void {
    if (message.type === 'result' || message.type === 'error') {
      const call = this.#calls.get(message.id);
      this.#calls.delete(message.id);
      if (message.type === 'result') call?.resolve(message.value);
      else call?.reject(fromPlain(message.error));
    } else if (message.type === 'closed') {
      this.#closed?.();
    } else {
      this.#on(message);
    }
  }

  post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  call<K extends keyof M & string>(
    method: K,
    ...args: M[K] extends (...args: infer A) => unknown ? A : never
  ): ReturnType<Call<M[K]>> {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => {
      if (this.#failed) return reject(this.#failed);
      this.#calls.set(id, { resolve, reject });
      this.post({ type: 'call', id, method, args });
    });
    return answer as ReturnType<Call<M[K]>>;
  }

  async close(): Promise<void> {
    if (this.#failed) return;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      this.post({ type: 'close' });
    });
    await this.#worker.terminate();
  }
}
