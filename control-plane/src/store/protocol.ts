// SPDX-License-Identifier: Apache-2.0
//
// What the main thread and the storage threads say to each other.
import type { PlainError } from '../errors.js';
import type { Cost } from './budget.js';
import type { Start } from './start.js';
import type { Acknowledged, RawBatch } from './storage.js';

export interface WorkerOptions {
  readonly folder: string;
  readonly retentionDays: number;
  readonly rollUpDays: number;
  readonly maxBytes: number;
  /** Of one question to the reader. */
  readonly query: Cost;
}

export type ToWorker =
  | { type: 'batch'; batch: RawBatch }
  | { type: 'call'; id: number; method: string; args: unknown[] }
  | { type: 'close' };

export type FromWorker =
  | { type: 'committed'; acknowledged: Acknowledged[]; refused: { stream: number; message: string }[] }
  | { type: 'result'; id: number; value: unknown }
  | { type: 'error'; id: number; error: PlainError }
  | { type: 'trouble'; message: string | null }
  | { type: 'warning'; message: string }
  | { type: 'started'; start: Start }
  | { type: 'retired'; days: readonly string[] }
  | { type: 'readyForSnapshot' }
  | { type: 'progress'; done: number; total: number }
  | { type: 'damaged'; day: string; inode: number }
  | { type: 'closed' };
