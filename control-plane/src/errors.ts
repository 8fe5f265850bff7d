// SPDX-License-Identifier: Apache-2.0
//
// Every error that a user can see has a code here. gRPC, HTTP and the CLI map it at their edges.

export interface ErrorShape {
  readonly http: 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429 | 500 | 503;
  /** Of @grpc/grpc-js's status. */
  readonly grpc: number;
  readonly exit: number;
}

/** Exit codes of the CLI. */
export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 3, notFound: 4, refused: 5, unavailable: 6 } as const;

export const ERRORS = {
  invalid_filter: { http: 400, grpc: 3, exit: EXIT.refused },
  invalid_policy: { http: 422, grpc: 3, exit: EXIT.refused },
  invalid_batch: { http: 400, grpc: 3, exit: EXIT.refused },
  invalid_stream: { http: 400, grpc: 3, exit: EXIT.refused },
  invalid_option: { http: 400, grpc: 3, exit: EXIT.usage },
  too_large: { http: 413, grpc: 8, exit: EXIT.refused },
  unauthorized: { http: 401, grpc: 16, exit: EXIT.refused },
  forbidden: { http: 403, grpc: 7, exit: EXIT.refused },
  conflict: { http: 409, grpc: 9, exit: EXIT.refused },
  too_many_requests: { http: 429, grpc: 8, exit: EXIT.unavailable },
  too_expensive: { http: 422, grpc: 8, exit: EXIT.refused },
  invalid_certificate_request: { http: 400, grpc: 3, exit: EXIT.refused },
  not_found: { http: 404, grpc: 5, exit: EXIT.notFound },
  folder_in_use: { http: 503, grpc: 14, exit: EXIT.failure },
  cannot_listen: { http: 503, grpc: 14, exit: EXIT.failure },
  invalid_backup: { http: 400, grpc: 3, exit: EXIT.refused },
  newer_data: { http: 503, grpc: 14, exit: EXIT.failure },
  store_unavailable: { http: 503, grpc: 14, exit: EXIT.unavailable },
  internal: { http: 500, grpc: 13, exit: EXIT.unavailable },
} as const satisfies Record<string, ErrorShape>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetail {
  readonly where: string;
  readonly message: string;
}

export class CellwallError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly ErrorDetail[];

  constructor(code: ErrorCode, message: string, details: readonly ErrorDetail[] = []) {
    super(message);
    this.name = 'CellwallError';
    this.code = code;
    this.details = details;
  }
}

/** For what crosses a thread: errors lose their class there. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: readonly ErrorDetail[];
}

export function toPlain(error: unknown): PlainError {
  if (error instanceof CellwallError) return { code: error.code, message: error.message, details: error.details };
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), details: [] };
}

export function fromPlain(plain: PlainError): CellwallError {
  return new CellwallError(plain.code, plain.message, plain.details);
}
