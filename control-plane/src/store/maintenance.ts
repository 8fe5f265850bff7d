// SPDX-License-Identifier: Apache-2.0
//
// The thread for long work beside the server: backups, and checks of whole files. One thing after the other.
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import { type BackupOptions, type BackupResult, backup } from './backup/backup.js';
import { type Gate, whileHeldAt } from './backup/gate.js';
import { type Checked, checkWhole } from './integrity.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';

export interface MaintenanceMethods {
  backup(options: Omit<BackupOptions, 'folder'>, gate: Gate): BackupResult;
  /** file: its name in the data folder. */
  check(file: string): Checked;
}

if (!parentPort) throw new Error('maintenance.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const { folder } = workerData as WorkerOptions;

const methods: {
  [K in keyof MaintenanceMethods]: (
    ...args: Parameters<MaintenanceMethods[K]>
  ) => ReturnType<MaintenanceMethods[K]> | Promise<ReturnType<MaintenanceMethods[K]>>;
} = {
  backup: (options, gate) =>
    backup(
      { ...options, folder },
      (take) => {
        say({ type: 'readyForSnapshot' });
        return whileHeldAt(gate, take);
      },
      (done, total) => say({ type: 'progress', done, total }),
    ),
  check: (file) => checkWhole(join(folder, file), file),
};

let turn: Promise<void> = Promise.resolve();

async function answer({ id, method, args }: Extract<ToWorker, { type: 'call' }>): Promise<void> {
  try {
    const run = (methods as Record<string, (...args: never[]) => unknown>)[method];
    if (!run) throw new Error(`there is no method ${method}`);
    say({ type: 'result', id, value: await run(...(args as never[])) });
  } catch (error) {
    say({ type: 'error', id, error: toPlain(error) });
  }
}

port.on('message', (message: ToWorker) => {
  if (message.type === 'call') turn = turn.then(() => answer(message));
  else if (message.type === 'close') {
    // Not waited for: what was begun leaves a folder that is no backup.
    say({ type: 'closed' });
    port.close();
  }
});
