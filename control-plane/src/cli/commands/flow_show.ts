// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import type { Flow } from '../../flows/record.js';
import { how, payloadText, pendingText, target } from '../flow_listing.js';
import { bytes, duration, endpoint, facts } from '../format.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';

interface Answer {
  readonly flow: Flow;
  readonly otherEnd: Flow | null;
}

const ends = (flow: Flow) => ({
  source: flow.translated && endpoint(flow.translated.source.address, flow.translated.source.port),
  destination: flow.translated && endpoint(flow.translated.destination.address, flow.translated.destination.port),
});

function translationFacts(flow: Flow): [string, string | null][] {
  if (flow.untracked) return [['translated', 'perhaps: its entry in the connection tracking was gone']];
  const { source, destination } = ends(flow);
  return flow.direction === 'egress'
    ? [
        ['backend', destination],
        ['seen outside as', source],
      ]
    : [
        ['caller itself', source],
        ['it asked for', destination],
      ];
}

function packets(count: number | null): string {
  return count === null ? '' : `, ${count} packets`;
}

function describe(flow: Flow): [string, string | null][] {
  return [
    ['container', flow.container.name],
    ['image', flow.container.image || null],
    ['node', flow.node],
    ['process', flow.process && `${flow.process.name} (${flow.process.id})`],
    ['direction', flow.direction],
    ['destination', target(flow)],
    ['local', endpoint(flow.local.address, flow.local.port)],
    ...translationFacts(flow),
    ['name', flow.name],
    ['peer', flow.peer && `${flow.peer.name} on ${flow.peer.node} (known by ${flow.peer.how})`],
    ['verdict', `${flow.verdict} ${flow.rule.display}`],
    ['pending', flow.pending && pendingText(flow)],
    ['carries', flow.payload && payloadText(flow)],
    ['server name', flow.tls?.serverName ?? null],
    ['start', flow.start],
    ['end', flow.end],
    ['took', flow.durationUs === null ? null : duration(flow.durationUs)],
    ['how', how(flow)],
    ['sent', flow.sentBytes === null ? null : bytes(flow.sentBytes) + packets(flow.sentPackets)],
    ['received', flow.receivedBytes === null ? null : bytes(flow.receivedBytes) + packets(flow.receivedPackets)],
    ['round trip', flow.rttUs === null ? null : duration(flow.rttUs)],
    ['retransmits', flow.retransmits === 0 ? null : String(flow.retransmits)],
  ];
}

async function run(id: string, options: ConnectionOptions & { output: 'table' | 'json' }): Promise<void> {
  const answer = await connect(options).json<Answer>('GET', `/v1/flows/${encodeURIComponent(id)}`);
  if (options.output === 'json') {
    print(`${JSON.stringify(answer, null, 2)}\n`);
    return;
  }
  print(`flow ${answer.flow.id}\n${facts(describe(answer.flow))}`);
  if (answer.otherEnd)
    print(`\nthe same connection at its other end: flow ${answer.otherEnd.id}\n${facts(describe(answer.otherEnd))}`);
}

export function flowShowCommand(): Command {
  const command = new Command('show')
    .description('one flow with all that is known, and the record at its other end')
    .argument('<id>', 'id of the flow, as -o json prints it')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'));
  return addConnection(command).action(run);
}
