// SPDX-License-Identifier: Apache-2.0
//
// The writer thread: gathers what came while the last commit ran, and commits it as one.
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';
import { Storage } from './storage.js';
import { WriteQueue } from './write_queue.js';
import { WriterCalls } from './writer_calls.js';

const RETIRE_MS = 60_000;

if (!parentPort) throw new Error('writer.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const now = () => Date.now() * 1000;

const storage = new Storage({ ...(workerData as WorkerOptions), warn: (message) => say({ type: 'warning', message }) });
const queue = new WriteQueue(storage, say);
const calls = new WriterCalls(storage, queue);
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
    queue.addBatch(message.batch);
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
