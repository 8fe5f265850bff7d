// SPDX-License-Identifier: Apache-2.0
//
// A store of one process, without its threads: what tests of questions write into and ask.
import { Connections } from '../store/connections.js';
import { Conversations } from '../store/conversations.js';
import { Directory } from '../store/directory.js';
import { EdgeReading } from '../store/edges.js';
import { Inventory } from '../store/inventory.js';
import { Reading } from '../store/reading.js';
import type { ContainerFacts } from '../store/state.js';
import { Storage } from '../store/storage.js';
import { Who } from '../store/who.js';
import { batchOf, columnsOf, type SampleFlow } from './batches.js';
import { temporaryFolder } from './folder.js';

const DAY_US = 86_400e6;

export class TestStore {
  readonly storage: Storage;
  readonly connections: Connections;
  readonly directory: Directory;
  readonly reading: Reading;
  readonly inventory: Inventory;
  readonly conversations: Conversations;
  readonly edges: EdgeReading;
  readonly who: Who;
  readonly #nowUs: number;
  readonly #events = new Map<string, number>();

  constructor(nowUs: number) {
    const folder = temporaryFolder();
    this.#nowUs = nowUs;
    this.storage = new Storage({ folder, retentionDays: 3000, rollUpDays: 400, maxBytes: 1e12, warn: () => {} });
    this.connections = new Connections(folder, () => {});
    this.directory = new Directory(() => this.connections.state());
    this.reading = new Reading(this.connections, this.directory);
    this.inventory = new Inventory(this.connections, this.directory);
    this.conversations = new Conversations(this.connections, this.reading, this.directory);
    this.edges = new EdgeReading(this.connections, this.directory);
    this.who = new Who(this.connections, this.reading);
  }

  containers(node: string, ...facts: (Partial<ContainerFacts> & { cgroupId: number })[]): void {
    const whole = facts.map((it) => ({
      path: '',
      runtime: 'containerd',
      runtimeId: String(it.cgroupId),
      name: '',
      image: '',
      namespace: 'shop',
      pod: '',
      labels: {},
      addresses: [],
      ports: [],
      createdUs: this.#nowUs - DAY_US,
      ...it,
    }));
    this.storage.state.transaction(() =>
      this.storage.state.updateContainers(node, 'boot.1', whole, [], false, this.#nowUs - 3600e6),
    );
  }

  /** more: other fields of the batch. */
  add(node: string, flows: readonly SampleFlow[], more: object = {}): void {
    const first = (this.#events.get(node) ?? 0) + 1;
    const data = batchOf(1, first, flows, more);
    const { refused } = this.storage.commit([{ stream: 1, node, epoch: 'boot.1', data }], this.#nowUs);
    if (refused[0]) throw new Error(refused[0].message);
    this.#events.set(node, first + flows.length - 1);
  }

  open(node: string, flows: readonly SampleFlow[], listeners: readonly object[] = [], timeUs = this.#nowUs): void {
    this.add(node, [], { open: { timeUs, flows: columnsOf(flows), listeners } });
  }

  digest(): void {
    while (this.storage.digest());
  }

  close(): void {
    this.connections.close();
    this.storage.close();
  }
}

/** A storage without questions; commits are of node `n`, one batch after the other. */
export function plainStorage(nowUs: number, folder = temporaryFolder()) {
  const storage = new Storage({ folder, retentionDays: 3000, rollUpDays: 400, maxBytes: 1e12, warn: () => {} });
  const commit = (flows: readonly SampleFlow[]) => {
    const data = batchOf(1, storage.committed('n', 'boot.1') + 1, flows);
    return storage.commit([{ stream: 1, node: 'n', epoch: 'boot.1', data }], nowUs);
  };
  return { folder, storage, commit };
}
