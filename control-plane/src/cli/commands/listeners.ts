// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { endpoint, localTime } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Listing,
  type Output,
  printListing,
} from '../shared.js';

export interface Listener {
  readonly container: { readonly name: string };
  readonly node: string;
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  readonly process: { readonly id: number; readonly name: string };
  readonly since: string;
  readonly until: string | null;
}

export function listenerListing(listeners: readonly Listener[]): Listing<Listener> {
  const now = new Date();
  return {
    name: 'listeners',
    items: listeners,
    head: ['CONTAINER', 'NODE', 'LISTENS ON', 'PROCESS', 'SINCE', 'UNTIL'],
    row: (it) => [
      { text: it.container.name, color: 'bold' },
      { text: it.node },
      { text: `${it.protocol} ${endpoint(it.address, it.port)}` },
      { text: `${it.process.name} (${it.process.id})` },
      { text: localTime(it.since, now) },
      { text: it.until === null ? '-' : localTime(it.until, now) },
    ],
    csvHead: ['container', 'node', 'protocol', 'address', 'port', 'process_id', 'process_name', 'since', 'until'],
    csvRow: (it) => [
      it.container.name,
      it.node,
      it.protocol,
      it.address,
      it.port,
      it.process.id,
      it.process.name,
      it.since,
      it.until,
    ],
    empty: 'nobody listens',
  };
}

interface Options extends ConnectionOptions {
  readonly namespace?: string;
  readonly pod?: string;
  readonly name?: string;
  readonly node?: string;
  readonly port?: string;
  readonly all?: boolean;
  readonly output: Output;
}

async function run(options: Options): Promise<void> {
  const { namespace, pod, name, node, port, all } = options;
  const query = { namespace, pod, name, node, port, gone: all ? 'true' : 'false' };
  const { listeners } = await connect(options).json<{ listeners: Listener[] }>('GET', '/v1/listeners', query);
  printListing(listenerListing(listeners), options.output);
}

export function listenersCommand(): Command {
  const command = new Command('listeners')
    .description('ports that containers accept on')
    .option('-n, --namespace <name>', 'namespace')
    .option('-p, --pod <name>', 'pod')
    .option('--name <name>', 'name of the container in its pod')
    .option('--node <name>', 'node')
    .option('--port <port>', 'port')
    .option('-a, --all', 'also those that have stopped');
  return addOutput(addConnection(command)).action(run);
}
