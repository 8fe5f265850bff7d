// SPDX-License-Identifier: Apache-2.0
//
// The kubelet's side of the Container Runtime Interface, as far as the lab needs it.
import { join } from 'node:path';
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ROOT } from './root.js';

type Answer = Record<string, unknown>;
type Method = (
  request: object,
  options: { deadline: number },
  done: (error: ServiceError | null, answer: Answer) => void,
) => void;

const PROTO = join(ROOT, 'proto/cri/runtime/v1/api.proto');
const DEADLINE_MS = 60_000;

export class Cri {
  readonly #client: Record<string, Method> & { close(): void };

  constructor(socket: string) {
    const loaded = loadPackageDefinition(
      loadSync(PROTO, { keepCase: true, longs: String, defaults: true }),
    ) as unknown as {
      runtime: {
        v1: {
          RuntimeService: new (
            address: string,
            credentials: unknown,
            options: object,
          ) => Record<string, Method> & { close(): void };
        };
      };
    };
    // containerd refuses the empty authority of a socket's address.
    this.#client = new loaded.runtime.v1.RuntimeService(`unix://${socket}`, credentials.createInsecure(), {
      'grpc.default_authority': 'localhost',
    });
  }

  call<T = Answer>(method: string, request: object, patienceMs = DEADLINE_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = this.#client[method];
      if (!run) return reject(new Error(`no CRI method ${method}`));
      run.call(this.#client, request, { deadline: Date.now() + patienceMs }, (error, answer) => {
        if (error) reject(new Error(`CRI ${method}: ${error.details}`));
        else resolve(answer as T);
      });
    });
  }

  close(): void {
    this.#client.close();
  }
}
