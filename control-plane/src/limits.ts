// SPDX-License-Identifier: Apache-2.0
//
// What one caller may ask of the server, and what all may together.

export interface Limits {
  /** Requests a second of one caller, or of one address where there is no caller; twice as many at once. */
  readonly requestsPerSecond: number;
  /** Requests of one caller, or one address, under way at once. */
  readonly requestsAtOnce: number;
  readonly streams: number;
  readonly streamsEach: number;
  /** A stream whose reader takes nothing for so long is closed. */
  readonly slowReaderMs: number;
}

export const LIMITS: Limits = {
  requestsPerSecond: 100,
  requestsAtOnce: 32,
  streams: 64,
  streamsEach: 16,
  slowReaderMs: 30_000,
};

/** What limits have turned away since the start, for /metrics and the status. */
export interface Counts {
  /** By a rate, or by the number of requests at once. */
  requestsLimited: number;
  streamsRefused: number;
  slowReadersDropped: number;
  streams: number;
}

export const newCounts = (): Counts => ({ requestsLimited: 0, streamsRefused: 0, slowReadersDropped: 0, streams: 0 });
