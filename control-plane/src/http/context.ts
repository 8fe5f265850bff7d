// SPDX-License-Identifier: Apache-2.0
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Agents } from '../grpc/agents.js';
import type { Logger } from '../logger.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Store } from '../store/store.js';

/** What routes work with. */
export interface Context {
  readonly store: Store;
  readonly rollout: Rollout;
  readonly agents: Agents;
  readonly log: Logger;
  readonly dataFolder: string;
  readonly startedUs: number;
}

export type Api = OpenAPIHono;
export const nowUs = (): number => Date.now() * 1000;
