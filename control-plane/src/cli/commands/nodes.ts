// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { bytes, type Cell, duration, localTime } from '../format.js';
import { lostText } from '../losses.js';
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
  delivery: {
    lagUs: number;
    spoolBytes: number;
    spoolLimitBytes: number;
    spoolWritable: boolean;
    mergedEvents: number;
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

/** What waits on the node's disk. */
function spoolOf({ delivery }: Node): Cell {
  if (delivery.spoolLimitBytes === 0) return { text: 'off', right: true };
  if (!delivery.spoolWritable) return { text: 'unwritable', right: true, color: 'red' };
  return { text: bytes(delivery.spoolBytes), right: true };
}

async function run(options: ConnectionOptions & { output: Output | 'wide' }): Promise<void> {
  const wide = options.output === 'wide';
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
        'LAG',
        'SPOOL',
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
        {
          text: wide ? lostText(it.lost) : String(lostOf(it)),
          right: !wide,
          color: lostOf(it) > 0 ? 'red' : undefined,
        },
        { text: it.delivery.lagUs > 0 ? duration(it.delivery.lagUs) : '-', right: true },
        spoolOf(it),
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
        'lag_us',
        'spool_bytes',
        'merged_flows',
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
        it.delivery.lagUs,
        it.delivery.spoolBytes,
        it.delivery.mergedEvents,
      ],
      empty: 'no node has connected yet; start cellwall-agent with --server',
    },
    options.output === 'wide' ? 'table' : options.output,
  );
}

export function nodesCommand(): Command {
  return addOutput(
    addConnection(
      new Command('nodes').description('nodes: what they enforce, how far behind they are, and what was lost'),
    ),
    ['table', 'wide', 'json', 'jsonl', 'csv'],
  ).action(run);
}
