// SPDX-License-Identifier: Apache-2.0
//
// The reader thread: slow questions do not hold up agents.
import { parentPort, workerData } from 'node:worker_threads';
import { toPlain } from '../errors.js';
import type { FilterPart } from '../flows/filter.js';
import type { StoredFlow } from '../flows/record.js';
import type { LearnOptions, StandingDocument } from '../learn/index.js';
import type { World } from '../policy/index.js';
import { AuditReading } from './audit_reading.js';
import { Budget } from './budget.js';
import { Connections } from './connections.js';
import { Conversations } from './conversations.js';
import { Directory } from './directory.js';
import { Drifting, type DriftTimes } from './drifting.js';
import { EdgeReading } from './edges.js';
import { containerConditions } from './flow_query.js';
import { Inventory } from './inventory.js';
import { Learning } from './learning.js';
import { ProposalReading } from './proposals.js';
import type { FromWorker, ToWorker, WorkerOptions } from './protocol.js';
import { Reading } from './reading.js';
import { RuleUses } from './rule_use.js';
import { Who } from './who.js';

if (!parentPort) throw new Error('reader.js runs as a worker thread');
const port = parentPort;
const say = (message: FromWorker) => port.postMessage(message);
const { folder, query } = workerData as WorkerOptions;
const budget = new Budget(query);
const connections = new Connections(folder, (day, inode) => say({ type: 'damaged', day, inode }), budget);
const directory = new Directory(() => connections.state());
const reading = new Reading(connections, directory);
const inventory = new Inventory(connections, directory);
const conversations = new Conversations(connections, reading, directory);
const edges = new EdgeReading(connections, directory);
const who = new Who(connections, reading);
const learning = new Learning(connections, directory, reading, edges, inventory);
const audit = new AuditReading(connections);
const proposals = new ProposalReading(connections);
const ruleUses = new RuleUses(connections);
const drifting = new Drifting(directory, learning, ruleUses);

const methods = {
  flows: reading.flows.bind(reading),
  openFlows: reading.openFlows.bind(reading),
  oldestFirst: reading.oldestFirst.bind(reading),
  position: reading.position.bind(reading),
  after: reading.after.bind(reading),
  one: reading.one.bind(reading),
  peers: conversations.peers.bind(conversations),
  partner: (flow: StoredFlow) => conversations.partners([flow]).values().next().value,
  edges: (times: { sinceUs: number; untilUs: number }, filter: FilterPart) =>
    edges.edges(times, containerConditions(filter)),
  learned: async (times: { sinceUs: number; untilUs: number }, options: LearnOptions, world: World, nowUs: number) => {
    const [namespace, ...more] = options.namespaces ?? [];
    const filter = namespace !== undefined && more.length === 0 ? { namespace } : {};
    // Much to load, and seldom asked for.
    const { learnFrom } = await import('../learn/index.js');
    return learnFrom(learning.history(times, filter, nowUs), options, world);
  },
  drift: async (
    times: DriftTimes,
    namespace: string | null,
    standing: readonly StandingDocument[],
    world: World,
    nowUs: number,
  ) => {
    const { drift } = await import('../learn/index.js');
    const filter = namespace === null ? {} : { namespace };
    const keys = standing.map(({ key }) => key);
    return drift(drifting.history(times, filter, keys, nowUs), standing, world, namespace);
  },
  who: who.ask.bind(who),
  ruleUses: ruleUses.of.bind(ruleUses),
  ruleName: ruleUses.name.bind(ruleUses),
  listeners: inventory.listeners.bind(inventory),
  lookups: inventory.lookups.bind(inventory),
  names: inventory.names.bind(inventory),
  containers: inventory.containers.bind(inventory),
  nodes: inventory.nodes.bind(inventory),
  stored: inventory.stored.bind(inventory),
  losses: inventory.losses.bind(inventory),
  auditHead: audit.head.bind(audit),
  auditList: audit.list.bind(audit),
  auditAfter: audit.after.bind(audit),
  proposals: proposals.list.bind(proposals),
  proposal: proposals.one.bind(proposals),
  outages: inventory.outages.bind(inventory),
  gaps: inventory.gaps.bind(inventory),
  summary: inventory.summary.bind(inventory),
};
export type ReaderMethods = typeof methods;

async function answer(message: ToWorker): Promise<void> {
  if (message.type === 'call') {
    try {
      const run = (methods as Record<string, (...args: never[]) => unknown>)[message.method];
      budget.begin();
      if (!run) throw new Error(`the reader has no method ${message.method}`);
      say({ type: 'result', id: message.id, value: await run(...(message.args as never[])) });
    } catch (error) {
      say({ type: 'error', id: message.id, error: toPlain(error) });
    }
  } else if (message.type === 'close') {
    connections.close();
    say({ type: 'closed' });
    port.close();
  }
}

// One after the other: they share a budget.
let before = Promise.resolve();
port.on('message', (message: ToWorker) => {
  before = before.then(() => answer(message));
});
