// SPDX-License-Identifier: Apache-2.0

import type { HttpBindings } from '@hono/node-server';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Access } from '../access/access.js';
import type { Caller } from '../access/caller.js';
import type { Agents } from '../grpc/agents.js';
import type { Informers } from '../kubernetes/informers.js';
import type { Counts, Limits } from '../limits.js';
import type { Logger } from '../logger.js';
import type { Rollout } from '../rollout/rollout.js';
import type { Staging } from '../rollout/staging.js';
import type { Store } from '../store/store.js';
import type { Connections } from './connections.js';
import type { TurnedAway } from './turned_away.js';

/** What routes work with. */
export interface Context {
  readonly store: Store;
  readonly rollout: Rollout;
  readonly staging: Staging;
  readonly agents: Agents;
  readonly access: Access;
  /** undefined: no cluster. */
  readonly informers: Informers | undefined;
  readonly limits: Limits;
  readonly counts: Counts;
  readonly connections: Connections;
  readonly turnedAway: TurnedAway;
  /** Authors may approve what they have proposed themselves. */
  readonly selfApproval: boolean;
  readonly log: Logger;
  readonly dataFolder: string;
  readonly startedUs: number;
}

/** caller: set for every route that is not open. */
export interface Env {
  Bindings: Partial<HttpBindings>;
  Variables: { caller: Caller };
}

export type Api = OpenAPIHono<Env>;
export const nowUs = (): number => Date.now() * 1000;
