// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Nothing that a result is asked of takes longer. */
const LONGEST_MS = 240_000;

/** Runs a command to its end; throws with what it said when it fails. */
export function run(
  command: string,
  args: readonly string[],
  options: { input?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...options });
  if (done.error) throw new Error(`${command}: ${done.error.message}`);
  if (done.status !== 0)
    throw new Error(
      `${command} ${args.join(' ')} failed (${done.status ?? done.signal}): ${(done.stderr || done.stdout).trim()}`,
    );
  return done.stdout;
}

/** As run(), but a failure is a result too; what hangs is ended, and fails. */
export function tryRun(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { code: number; stdout: string; stderr: string } {
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: { ...process.env, ...env },
    timeout: LONGEST_MS,
    killSignal: 'SIGKILL',
  });
  return { code: done.status ?? 255, stdout: done.stdout ?? '', stderr: done.stderr ?? String(done.error ?? '') };
}

/** A process that goes on in the background; what it says goes to a file. */
export class Background {
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly exited: Promise<number>;

  constructor(command: string, args: readonly string[], logFile: string) {
    this.logFile = logFile;
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(logFile, { flags: 'a' });
    this.child.stdout?.pipe(log, { end: false });
    this.child.stderr?.pipe(log, { end: false });
    this.exited = new Promise((resolve) => {
      this.child.on('exit', (code) => resolve(code ?? 255));
      this.child.on('error', () => resolve(255));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined;
  }

  /** Ends it, by force when it does not end by itself. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', patienceMs = 10_000): Promise<void> {
    if (!this.running) return;
    this.signal(signal);
    const ended = await Promise.race([this.exited.then(() => true), sleep(patienceMs, false, { ref: false })]);
    if (!ended) this.signal('SIGKILL');
    await this.exited;
  }

  protected signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** Asks again until the answer is not undefined or false; throws with the last error or the name of what was waited for. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  timeoutMs = 20_000,
  everyMs = 50,
): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== null && answer !== false) return answer as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end)
      throw new Error(`${what}: not within ${timeoutMs} ms${last ? ` (${(last as Error).message})` : ''}`);
    await sleep(everyMs);
  }
}
