// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { ROOT } from '../harness/root.js';

/** On this machine. */
export const program = (name: string): string => join(ROOT, 'build/attacks', name);

/** In a container. */
export const inContainer = (name: string): string => `/usr/local/bin/${name}`;
