// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Real processes, namespaces and containers.
const LONG = process.env.LONG === '1';
const TEST_MS = LONG ? 3_600_000 : 300_000;
// Each file has namespaces, cgroups and programs of its own, and mostly waits; at length, each has the machine for itself.
const real = {
  fileParallelism: !LONG,
  maxWorkers: LONG ? 1 : 2,
  testTimeout: TEST_MS,
  hookTimeout: 300_000,
  pool: 'forks' as const,
};

// The threads of the server run as compiled code.
const BUILD = './control-plane/scripts/build_for_tests.js';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['control-plane/src/**/*.test.ts', 'test/harness/**/*.test.ts'],
          // These end what hangs. Beside the kernel tests, which go first, seconds of work take a minute.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: { poll: { timeout: 20_000 } },
          // One less than there are processors is the default: half of a small machine.
          maxWorkers: Math.max(2, availableParallelism()),
          globalSetup: BUILD,
          // Modules are evaluated once for the files of a worker, not for each: half of the time was that.
          isolate: false,
          setupFiles: './control-plane/src/testing/set_up.ts',
        },
      },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...real } },
      { test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], ...real } },
      { test: { name: 'attacks', include: ['test/attacks/**/*.test.ts'], ...real, maxConcurrency: 10 } },
      { test: { name: 'kubernetes', include: ['test/kubernetes/**/*.test.ts'], ...real } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...real } },
    ],
  },
});
