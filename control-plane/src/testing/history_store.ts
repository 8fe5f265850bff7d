// SPDX-License-Identifier: Apache-2.0
//
// A generated history in a store, written as agents send it, and what is learned from there.
import {
  coverageOf,
  type History,
  type Learned,
  type LearnOptions,
  learn,
  USUAL_OPTIONS,
  writeLearned,
} from '../learn/index.js';
import { Evaluator, NO_OPTIONS, parseDocuments, type World } from '../policy/index.js';
import { dayOf } from '../store/days.js';
import { Learning } from '../store/learning.js';
import type { SampleFlow } from './batches.js';
import type { MadeFlow, MadeHistory } from './history.js';
import { END_US, HOUR_US, HOURS, type MadeCluster, SILENT, START_US } from './history_cluster.js';
import { TestStore } from './store.js';

const BATCH = 1024;
const BOOT = 'boot.1';
const COVERAGE = coverageOf({ sinceUs: 0, untilUs: 1, firstUs: 0, lastUs: 1, lost: [], silent: [], wrongClock: 0 });

function describe({ storage: { state } }: TestStore, { nodes, workloads, containers }: MadeCluster): void {
  state.transaction(() => {
    for (const { name, addresses } of nodes) state.hello(name, BOOT, JSON.stringify({ addresses }), START_US);
    for (const { workload, namespace, pod } of containers)
      if (workload !== undefined)
        state.cluster.change([{ kind: 'workload', key: `${namespace}/${pod}`, facts: JSON.stringify(workload) }]);
  });
  for (const node of nodes) {
    const here = containers.filter((it) => it.node === node.name);
    state.transaction(() => {
      const facts = here.map(({ cgroup, fromHour, ports: _, ...it }) => {
        const createdUs = START_US + fromHour * HOUR_US;
        return {
          ...it,
          cgroupId: cgroup,
          path: '',
          runtime: 'containerd',
          runtimeId: String(cgroup),
          ports: [],
          createdUs,
        };
      });
      state.updateContainers(node.name, BOOT, facts, [], false, END_US);
      for (const { cgroup, untilHour } of here)
        if (untilHour < HOURS)
          state.updateContainers(node.name, BOOT, [], [cgroup], false, START_US + untilHour * HOUR_US);
      // Of one namespace agents have not told who listens: its containers cannot be told apart by port.
      const listeners = workloads.flatMap(({ containers: all, ports }) =>
        all
          .filter((it) => it.node === node.name && it.namespace !== SILENT)
          .flatMap(({ cgroup }) =>
            ports.map(({ protocol, port }) => ({
              container: state.containerId(node.name, BOOT, cgroup, END_US),
              listener: {
                row: 0,
                cgroup: 0,
                address: { high: 0, low: 0 },
                protocol,
                port,
                processId: 1,
                processName: 'serve',
              },
            })),
          ),
      );
      state.open.setListeners(node.name, listeners, START_US);
    });
  }
}

/** In the order that they are given in. */
export function storeOf({ cluster }: MadeHistory, flows: Iterable<MadeFlow>): TestStore {
  const store = new TestStore(END_US);
  describe(store, cluster);
  const waiting = new Map<string, SampleFlow[]>(cluster.nodes.map(({ name }) => [name, []]));
  const send = (node: string, batch: SampleFlow[]) => {
    if (batch.length > 0) store.add(node, batch.splice(0));
  };
  for (const { own, sample } of flows) {
    const batch = waiting.get(own.node) as SampleFlow[];
    // A batch goes into the file of one day.
    if (batch[0] && dayOf(batch[0].endUs) !== dayOf(sample.endUs)) send(own.node, batch);
    if (batch.push(sample) >= BATCH) send(own.node, batch);
  }
  for (const [node, batch] of waiting) send(node, batch);
  store.digest();
  return store;
}

export function historyIn(store: TestStore): History {
  const learning = new Learning(store.connections, store.directory, store.reading, store.edges, store.inventory);
  return learning.history({ sinceUs: START_US, untilUs: END_US }, {}, END_US);
}

export interface LearnedHere {
  readonly learned: Learned;
  readonly yaml: string;
  readonly evaluator: Evaluator;
}

/** Enforced from the beginning. */
export function learnedHere(
  { cluster }: MadeHistory,
  { seen, containers }: Pick<History, 'seen' | 'containers'>,
  generality: Partial<LearnOptions> = {},
): LearnedHere {
  const { services, nodes } = cluster;
  const learned = learn(
    { seen, containers, services, apiServer: [] },
    { ...USUAL_OPTIONS, mode: 'Enforce', ...generality },
  );
  const yaml = writeLearned(learned, COVERAGE);
  const { policies, problems } = parseDocuments(yaml, 'learned');
  if (problems.length > 0) throw new Error(JSON.stringify(problems[0]));
  const world: World = { policies, containers: cluster.containers, services, nodes, options: NO_OPTIONS };
  return { learned, yaml, evaluator: new Evaluator(world) };
}
