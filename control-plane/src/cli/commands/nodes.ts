// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { localTime } from '../format.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, printListing } from '../shared.js';

interface Node {
  name: string;
  connected: boolean;
  lastSeen: string;
  agentVersion: string;
  kernel: string;
  attachPoint: string;
  generation: { wanted: number; applied: number; error: string | null };
  containers: number;
  flows: { stored: number; openNow: number };
  lost: Record<string, number>;
}

const lostOf = (node: Node): number => Object.values(node.lost).reduce((sum, count) => sum + count, 0);

function policyOf({ generation }: Node): string {
  if (generation.error) return `refused: ${generation.error}`;
  return generation.applied === generation.wanted
    ? String(generation.applied)
    : `${generation.applied}, wanted ${generation.wanted}`;
}

async function run(options: ConnectionOptions & { output: Output }): Promise<void> {
  const { nodes } = await connect(options).json<{ nodes: Node[] }>('GET', '/v1/nodes');
  const now = new Date();
  printListing(
    {
      name: 'nodes',
      items: nodes,
      head: ['NODE', 'STATE', 'LAST SEEN', 'CONTAINERS', 'FLOWS', 'LOST', 'GENERATION', 'AGENT', 'KERNEL'],
      row: (it) => [
        { text: it.name, color: 'bold' },
        it.connected ? { text: 'connected', color: 'green' } : { text: 'away', color: 'red' },
        { text: localTime(it.lastSeen, now) },
        { text: String(it.containers), right: true },
        { text: String(it.flows.stored), right: true },
        { text: String(lostOf(it)), right: true, color: lostOf(it) > 0 ? 'red' : undefined },
        { text: policyOf(it), color: it.generation.error ? 'red' : undefined },
        { text: it.agentVersion },
        { text: it.kernel },
      ],
      csvHead: [
        'node',
        'connected',
        'last_seen',
        'containers',
        'flows',
        'lost',
        'generation',
        'agent',
        'kernel',
        'attach_point',
      ],
      csvRow: (it) => [
        it.name,
        String(it.connected),
        it.lastSeen,
        it.containers,
        it.flows.stored,
        lostOf(it),
        it.generation.applied,
        it.agentVersion,
        it.kernel,
        it.attachPoint,
      ],
      empty: 'no node has connected yet; start cellwall-agent with --server',
    },
    options.output,
  );
}

export function nodesCommand(): Command {
  return addOutput(
    addConnection(new Command('nodes').description('nodes: what they enforce, and what was lost')),
  ).action(run);
}
