// SPDX-License-Identifier: Apache-2.0
//
// The writer thread: gathers what came while the last commit ran, and commits it as one.
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import { markCleanStop } from './clean_stop.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';
import { Reserve } from './reserve.js';
import { openStorage } from './start.js';
import { WriteQueue } from './write_queue.js';
import { WriterCalls } from './writer_calls.js';

const RETIRE_MS = 60_000;

if (!parentPort) throw new Error('writer.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const now = () => Date.now() * 1000;

const options = workerData as WorkerOptions;
const { storage, start } = openStorage({ ...options, warn: (message) => say({ type: 'warning', message }) });
const reserve = new Reserve(options.folder);
const queue = new WriteQueue(storage, reserve, say);
const calls = new WriterCalls(storage, queue);
say({ type: 'started', start });

let isOverLimit = false;
function retire(): void {
  try {
    say({ type: 'retired', days: storage.retire(now()) });
    const before = isOverLimit;
    isOverLimit = storage.bytes() > options.maxBytes;
    if (isOverLimit && !before)
      say({ type: 'warning', message: 'today alone is over --max-bytes: it is kept, and shrinks the days to come' });
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
    markCleanStop(options.folder);
    say({ type: 'closed' });
    port.close();
  }
});

queue.note(() => storage.state.transaction(() => storage.state.outages.closeOld(now())));
const retiring = setInterval(retire, RETIRE_MS);
retire();
if (!reserve.hold())
  say({
    type: 'warning',
    message: `the disk of ${options.folder} is nearly full: no room can be kept for policy changes`,
  });
