// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { localTime } from '../format.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, printListing } from '../shared.js';

interface Container {
  node: string;
  cgroupId: string;
  name: string;
  namespace: string;
  pod: string;
  container: string;
  image: string;
  runtime: string;
  runtimeId: string;
  addresses: string[];
  firstSeen: string;
  gone: string | null;
  policies: string[];
  observed: { names: boolean; payload: boolean };
}

function observed({ observed: { names, payload } }: Container): string[] {
  return [...(names ? ['names'] : []), ...(payload ? ['payload'] : [])];
}

interface Options extends ConnectionOptions {
  readonly namespace?: string;
  readonly pod?: string;
  readonly name?: string;
  readonly node?: string;
  readonly all?: boolean;
  readonly output: Output;
}

async function run(options: Options): Promise<void> {
  const { namespace, pod, name, node, all } = options;
  const query = { namespace, pod, name, node, gone: all ? 'true' : 'false' };
  const { containers } = await connect(options).json<{ containers: Container[] }>('GET', '/v1/containers', query);
  const now = new Date();
  printListing(
    {
      name: 'containers',
      items: containers,
      head: ['CONTAINER', 'NODE', 'ADDRESSES', 'IMAGE', 'POLICIES', 'OBSERVED', 'SINCE', ...(all ? ['GONE'] : [])],
      row: (it) => [
        { text: it.name, color: 'bold' },
        { text: it.node },
        { text: it.addresses.join(', ') || '-' },
        { text: it.image || '-' },
        { text: it.policies.join(', ') || '-' },
        { text: observed(it).join(', ') || '-' },
        { text: localTime(it.firstSeen, now) },
        ...(all ? [{ text: it.gone ? localTime(it.gone, now) : '-' }] : []),
      ],
      csvHead: [
        'container',
        'node',
        'namespace',
        'pod',
        'name',
        'cgroup_id',
        'runtime',
        'runtime_id',
        'image',
        'addresses',
        'policies',
        'first_seen',
        'gone',
        'observed',
      ],
      csvRow: (it) => [
        it.name,
        it.node,
        it.namespace,
        it.pod,
        it.container,
        it.cgroupId,
        it.runtime,
        it.runtimeId,
        it.image,
        it.addresses.join(' '),
        it.policies.join(' '),
        it.firstSeen,
        it.gone,
        observed(it).join(' '),
      ],
      empty: 'no containers match',
    },
    options.output,
  );
}

export function containersCommand(): Command {
  const command = new Command('containers')
    .description('containers that agents see, the policies that select them, and what is observed of them')
    .option('-n, --namespace <name>', 'namespace')
    .option('-p, --pod <name>', 'pod')
    .option('--name <name>', 'name of the container in its pod')
    .option('--node <name>', 'node')
    .option('-a, --all', 'also those that are gone');
  return addOutput(addConnection(command)).action(run);
}
