// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import type { Call } from '../../flows/map.js';
import { bytes, clean, endpoint } from '../format.js';
import {
  addConnection,
  addOutput,
  type ConnectionOptions,
  connect,
  type Output,
  print,
  printListing,
} from '../shared.js';

interface Options extends ConnectionOptions {
  readonly container?: string;
  readonly pod?: string;
  readonly namespace?: string;
  readonly node?: string;
  readonly since?: string;
  readonly until?: string;
  readonly output: Output;
}

interface Answer {
  readonly since: string;
  readonly until: string;
  readonly calls: Call[];
}

const count = (flows: number): string => (flows === 1 ? '1 flow' : `${flows.toLocaleString('en')} flows`);

/** "db/postgres 5432 (412 flows, 3.1 MB, plaintext)" */
export function callText(call: Call): string {
  const protocol = call.protocol === 'tcp' ? '' : `${call.protocol} `;
  const service = call.service === null ? '' : ` through ${endpoint(call.service, null)}`;
  // None are known of datagrams outside policies and observations, and there are none of what was refused.
  const size = call.sentBytes + call.receivedBytes;
  const facts = [
    count(call.flows),
    ...(size > 0 ? [bytes(size)] : []),
    ...(call.payloads.length > 0 ? [call.payloads.join(' and ')] : []),
    ...(call.plaintext ? ['plaintext'] : []),
    ...(call.verdict === 'allowed' ? [] : [`${call.verdict} by ${call.rule}`]),
  ];
  return `${call.called.name} ${protocol}${call.port}${service} (${facts.join(', ')})`;
}

function show({ calls }: Answer): void {
  let caller = '';
  for (const call of calls) {
    if (call.caller.name !== caller) print(`${clean(call.caller.name)} calls:\n`);
    caller = call.caller.name;
    print(`  ${clean(callText(call))}\n`);
  }
  if (calls.length === 0) print('nobody called anybody in that time\n');
}

async function run(options: Options): Promise<void> {
  const { container, pod, namespace, node, since, until } = options;
  const answer = await connect(options).json<Answer>('GET', '/v1/map', {
    container,
    pod,
    namespace,
    node,
    since,
    until,
  });
  if (options.output === 'table') {
    show(answer);
    return;
  }
  printListing(
    {
      name: 'calls',
      items: answer.calls,
      extra: { since: answer.since, until: answer.until },
      head: [],
      row: () => [],
      csvHead: [
        'caller',
        'called',
        'service',
        'port',
        'protocol',
        'verdict',
        'rule',
        'payloads',
        'plaintext',
        'flows',
        'sent_bytes',
        'received_bytes',
        'first',
        'last',
      ],
      csvRow: (it) => [
        it.caller.name,
        it.called.name,
        it.service,
        it.port,
        it.protocol,
        it.verdict,
        it.rule,
        it.payloads.join(' '),
        String(it.plaintext),
        it.flows,
        it.sentBytes,
        it.receivedBytes,
        it.first,
        it.last,
      ],
      empty: '',
    },
    options.output,
  );
}

export function mapCommand(): Command {
  const command = new Command('map')
    .description('who calls whom, summed up by workload')
    .option('-n, --namespace <name>', 'namespace of the caller')
    .option('-p, --pod <name>', 'pod of the caller')
    .option('-c, --container <name>', 'container of the caller')
    .option('--node <name>', 'node of the caller')
    .option('--since <time>', '2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago; a day ago')
    .option('--until <time>', 'not after; now');
  return addOutput(addConnection(command)).action(run);
}
