// SPDX-License-Identifier: Apache-2.0
//
// The writer thread: gathers what came while the last commit ran, and commits it as one.
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import { isOutOfSpace } from './open.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';
import { type RawBatch, Storage } from './storage.js';
import { WriterCalls } from './writer_calls.js';

/** Streams have a window of batches each, so what waits here is bounded by windows, not by this. */
const MOST_BATCHES_PER_COMMIT = 256;
const RETRY_MS = 1000;
const RETIRE_MS = 60_000;

if (!parentPort) throw new Error('writer.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const now = () => Date.now() * 1000;

const storage = new Storage({ ...(workerData as WorkerOptions), warn: (message) => say({ type: 'warning', message }) });
const calls = new WriterCalls(storage);
let waiting: RawBatch[] = [];
let scheduled = false;
let trouble = false;

function schedule(delay: number): void {
  if (scheduled) return;
  scheduled = true;
  if (delay > 0) setTimeout(commitWaiting, delay);
  else setImmediate(commitWaiting);
}

function commitWaiting(): void {
  scheduled = false;
  const batches = waiting.slice(0, MOST_BATCHES_PER_COMMIT);
  if (batches.length === 0) return;
  try {
    const { acknowledged, refused } = storage.commit(batches, now());
    waiting = waiting.slice(batches.length);
    if (trouble) say({ type: 'trouble', message: null });
    trouble = false;
    say({ type: 'committed', acknowledged, refused });
    if (waiting.length > 0) schedule(0);
  } catch (error) {
    // Nothing is acknowledged, so nothing is lost: agents keep it until there is room.
    trouble = true;
    const hint = isOutOfSpace(error)
      ? ': the disk of the data folder is full or failing; make room, or lower --max-bytes'
      : '';
    say({ type: 'trouble', message: `flows cannot be stored (${toPlain(error).message})${hint}` });
    schedule(RETRY_MS);
  }
}

function retire(): void {
  try {
    for (const day of storage.retire(now()))
      say({ type: 'warning', message: `the flows of ${day} are past their retention and were removed` });
  } catch (error) {
    say({ type: 'warning', message: `old days could not be removed: ${toPlain(error).message}` });
  }
}

port.on('message', (message: ToWorker) => {
  if (message.type === 'batch') {
    waiting.push(message.batch);
    schedule(0);
  } else if (message.type === 'call') {
    try {
      say({ type: 'result', id: message.id, value: calls.run(message.method, message.args, now()) });
    } catch (error) {
      say({ type: 'error', id: message.id, error: toPlain(error) });
    }
  } else {
    clearInterval(retiring);
    storage.close();
    say({ type: 'closed' });
    port.close();
  }
});

const retiring = setInterval(retire, RETIRE_MS);
retire();
