// SPDX-License-Identifier: Apache-2.0
import { createRoute, z } from '@hono/zod-openapi';
import { timeText } from '../../flows/record.js';
import type { Agents } from '../../grpc/agents.js';
import type { Api, Context } from '../context.js';
import { sumLosses } from '../losses.js';
import { failures, json, nodeSchema } from '../schemas.js';

const route = createRoute({
  method: 'get',
  path: '/v1/nodes',
  summary: 'Nodes, their kernels, what they enforce and what was lost',
  responses: { 200: json(z.object({ nodes: z.array(nodeSchema) }), 'by name'), ...failures },
});

interface Hello {
  agentVersion?: string;
  kernelRelease?: string;
  architecture?: string;
  attachPoint?: string;
  abilities?: { name?: string; present?: boolean; consequence?: string }[];
}

function identityOf(agents: Agents, node: string) {
  const { nodes, proof } = agents.access;
  const known = nodes.get(node);
  const shown = agents.certificateOf(node);
  const endsUs = shown?.endsUs ?? known.endsUs;
  return {
    proof: proof?.kind ?? ('none' as const),
    ends: endsUs === null ? null : timeText(endsUs),
    authority: shown?.authority ?? known.authority,
    serial: shown?.serial ?? known.serial,
    method: known.method,
    revoked: known.revokedUs === null ? null : timeText(known.revokedUs),
    error: known.error === '' ? null : known.error,
  };
}

/** Counters of the agent by their names there; an older agent has none of these. */
function deliveryOf(counters: Readonly<Record<string, number>>) {
  const of = (name: string) => counters[name] ?? 0;
  return {
    lagUs: of('lag_us'),
    spoolBytes: of('spool_bytes'),
    spoolLimitBytes: of('spool_limit_bytes'),
    spoolBatches: of('spool_batches'),
    spoolWritable: of('spool_unwritable') === 0,
    queueBytes: of('queue_bytes'),
    mergedEvents: of('merged_events'),
  };
}

export async function readNodes({ store, rollout, agents }: Context) {
  const rows = await store.reader.call('nodes');
  const [losses, stored] = await Promise.all([store.reader.call('losses'), store.reader.call('stored')]);
  return rows.map((row) => {
    const hello = JSON.parse(row.hello) as Hello;
    const own = losses.filter((loss) => loss.node === row.name);
    const lost = sumLosses(own);
    const counters = JSON.parse(row.counters) as Record<string, number>;
    const kept = stored.filter((it) => it.node === row.name).reduce((sum, { flows }) => sum + flows, 0);
    return {
      name: row.name,
      epoch: row.epoch,
      connected: agents.isConnected(row.name),
      lastSeen: timeText(row.lastSeenUs),
      agentVersion: hello.agentVersion ?? '',
      kernel: hello.kernelRelease ?? '',
      architecture: hello.architecture ?? '',
      attachPoint: hello.attachPoint ?? '',
      abilities: (hello.abilities ?? []).map((it) => ({
        name: it.name ?? '',
        present: it.present ?? false,
        consequence: it.consequence ?? '',
      })),
      generation: { wanted: rollout.generation, applied: row.appliedGeneration, error: row.appliedError },
      containers: row.containers,
      flows: { stored: kept, openNow: row.openFlows },
      lost,
      delivery: deliveryOf(counters),
      identity: identityOf(agents, row.name),
      counters,
    };
  });
}

export function nodes(api: Api, context: Context): void {
  api.openapi(route, async (c) => c.json({ nodes: await readNodes(context) }, 200));
}
