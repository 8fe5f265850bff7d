// SPDX-License-Identifier: Apache-2.0

type Step = { what: string; undo: () => void | Promise<void> };

/** What has to be undone, last first; also when the run is interrupted. */
export class Cleanup {
  readonly #steps: Step[] = [];
  #running: Promise<void> | undefined;

  constructor() {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        if (this.#steps.length > 0) process.stderr.write(`\n${signal}: cleaning up\n`);
        this.run().finally(() => process.exit(130));
      });
    }
  }

  add(what: string, undo: Step['undo']): void {
    this.#steps.push({ what, undo });
  }

  run(): Promise<void> {
    this.#running ??= this.#all().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #all(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        process.stderr.write(`clean-up of ${step.what}: ${(error as Error).message}\n`);
      }
    }
  }
}
