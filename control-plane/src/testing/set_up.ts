// SPDX-License-Identifier: Apache-2.0
// Evaluated for each file of tests, while the modules that it imports are evaluated once for many: vitest.config.ts.
import { afterEach } from 'vitest';
import { cleanUp } from './after_each.js';

afterEach(cleanUp);
