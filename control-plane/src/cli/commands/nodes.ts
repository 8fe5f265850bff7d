// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { type Cell, localTime } from '../format.js';
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
  identity: {
    proof: string;
    ends: string | null;
    authority: string | null;
    revoked: string | null;
    error: string | null;
  };
}

const lostOf = (node: Node): number => Object.values(node.lost).reduce((sum, count) => sum + count, 0);

function policyOf({ generation }: Node): string {
  if (generation.error) return `refused: ${generation.error}`;
  return generation.applied === generation.wanted
    ? String(generation.applied)
    : `${generation.applied}, wanted ${generation.wanted}`;
}

function certificateOf({ identity }: Node, now: Date): Cell {
  if (identity.revoked) return { text: 'revoked', color: 'red' };
  if (identity.error)
    return {
      text: `${identity.ends ? `until ${localTime(identity.ends, now)}, ` : ''}not renewed: ${identity.error}`,
      color: 'red',
    };
  if (identity.proof === 'none') return { text: 'none (plain text)' };
  if (!identity.ends) return { text: '' };
  const isOver = Date.parse(identity.ends) < now.getTime();
  return { text: `${isOver ? 'ended' : 'until'} ${localTime(identity.ends, now)}`, color: isOver ? 'red' : undefined };
}

async function run(options: ConnectionOptions & { output: Output }): Promise<void> {
  const { nodes } = await connect(options).json<{ nodes: Node[] }>('GET', '/v1/nodes');
  const now = new Date();
  printListing(
    {
      name: 'nodes',
      items: nodes,
      head: [
        'NODE',
        'STATE',
        'LAST SEEN',
        'CONTAINERS',
        'FLOWS',
        'LOST',
        'GENERATION',
        'CERTIFICATE',
        'AGENT',
        'KERNEL',
      ],
      row: (it) => [
        { text: it.name, color: 'bold' },
        it.connected ? { text: 'connected', color: 'green' } : { text: 'away', color: 'red' },
        { text: localTime(it.lastSeen, now) },
        { text: String(it.containers), right: true },
        { text: String(it.flows.stored), right: true },
        { text: String(lostOf(it)), right: true, color: lostOf(it) > 0 ? 'red' : undefined },
        { text: policyOf(it), color: it.generation.error ? 'red' : undefined },
        certificateOf(it, now),
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
        'certificate_ends',
        'authority',
        'revoked',
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
        it.identity.ends,
        it.identity.authority,
        it.identity.revoked,
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
