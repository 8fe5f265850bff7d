// SPDX-License-Identifier: Apache-2.0
//
// Commands that ask the server, or, with --data, work on its data folder while it is off.
import { CellwallError, ERRORS } from '../errors.js';
import { CommandError } from './client.js';

/** Loads what no other command needs, and maps its errors. */
export async function offline<T>(work: (module: typeof import('../offline.js')) => Promise<T>): Promise<T> {
  try {
    return await work(await import('../offline.js'));
  } catch (error) {
    if (!(error instanceof CellwallError)) throw error;
    const hint = error.code === 'folder_in_use' ? '; or leave --data out, to ask that server' : '';
    throw new CommandError(error.message + hint, ERRORS[error.code].exit, error.details);
  }
}
