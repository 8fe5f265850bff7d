// SPDX-License-Identifier: Apache-2.0
//
// The reader thread: slow questions do not hold up agents.
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';
import { Reading } from './reading.js';

if (!parentPort) throw new Error('reader.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const reading = new Reading((workerData as WorkerOptions).folder, (day) => say({ type: 'damaged', day }));

port.on('message', (message: ToWorker) => {
  if (message.type === 'call') {
    try {
      const run = (reading as unknown as Record<string, (...args: unknown[]) => unknown>)[message.method];
      if (!run) throw new Error(`the reader has no method ${message.method}`);
      say({ type: 'result', id: message.id, value: run.apply(reading, message.args) });
    } catch (error) {
      say({ type: 'error', id: message.id, error: toPlain(error) });
    }
  } else if (message.type === 'close') {
    reading.close();
    say({ type: 'closed' });
    port.close();
  }
});
