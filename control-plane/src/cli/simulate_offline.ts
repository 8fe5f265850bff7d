// SPDX-License-Identifier: Apache-2.0
//
// What a change would have done to the flows of an export. Loaded by who asks for it: it knows all of the policies.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { EXIT } from '../errors.js';
import type { Effect } from '../flows/effect.js';
import { Recording, RecordingError } from '../flows/recording.js';
import { whatIf } from '../flows/what_if.js';
import { CommandError, readInput } from './client.js';

async function read(file: string): Promise<Recording> {
  const recording = new Recording();
  try {
    const input = file === '-' ? process.stdin : createReadStream(file);
    // Errors of a stream reach the loop only from the stream itself.
    const failed = new Promise<never>((_, reject) => input.once('error', reject));
    const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    const all = async () => {
      for await (const line of lines) recording.add(line);
    };
    await Promise.race([all(), failed]);
    recording.finish();
    return recording;
  } catch (error) {
    if (error instanceof RecordingError) throw new CommandError(`${file}:${error.line} ${error.message}`, EXIT.usage);
    throw new CommandError(`--from ${file}: ${(error as Error).message}`, EXIT.usage);
  }
}

/** file: of the change; from: an export with its world. Throws a CommandError that names the place in either. */
export async function simulateOffline(file: string, from: string): Promise<Effect> {
  const source = file === '-' ? 'stdin' : file;
  const done = whatIf(await read(from), readInput(file), source);
  if (done.problems)
    throw new CommandError(`${source} was refused; nothing was simulated`, EXIT.refused, done.problems);
  return done.effect;
}
