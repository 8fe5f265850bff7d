// SPDX-License-Identifier: Apache-2.0
//
// Who has an address, and who listens there: from what agents told of their containers, listeners and nodes.
import type { Database } from 'better-sqlite3';
import { grouped } from '../flows/group.js';
import { displayName, type Peer } from '../flows/record.js';
import { addressBits, addressText } from '../policy/network.js';
import { toBits } from './addresses.js';
import type { Conditions, Names } from './flow_query.js';
import { where } from './flow_query.js';

/** What is asked for more often is answered from what was read so long ago. */
const FRESH_MS = 1000;
/** Reports of births and deaths come after the connections that they explain. */
const SLACK_US = 60e6;
/** CRI's own container of a pod, which runs nothing; agent-bpf/src/containers.h names it. */
const SANDBOX = '(pod sandbox)';

interface Resident {
  readonly id: number;
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly cgroupId: string;
  readonly addresses: string;
  readonly labels: string;
  readonly workload: string;
  readonly firstUs: number;
  readonly goneUs: number | null;
}

interface Listening {
  readonly container: number;
  readonly protocol: number;
  /** Text; unspecified: all addresses of the container. */
  readonly address: string;
  readonly port: number;
  readonly firstUs: number;
  readonly goneUs: number | null;
}

const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::';
const isThere = (it: { firstUs: number; goneUs: number | null }, us: number): boolean =>
  it.firstUs - SLACK_US <= us && (it.goneUs === null || us <= it.goneUs + SLACK_US);

interface Snapshot {
  readonly readMs: number;
  readonly byId: ReadonlyMap<number, Resident>;
  readonly byAddress: ReadonlyMap<string, Resident[]>;
  readonly listening: ReadonlyMap<number, Listening[]>;
  readonly nodes: ReadonlyMap<string, string>;
}

/** labels: JSON, of the pod; workload: as flows/workload.ts has it. */
export type LabelledPeer = Peer & { readonly labels: string; readonly workload: string };

export class Directory implements Names {
  readonly #state: () => Database;
  #snapshot: Snapshot | undefined;

  constructor(state: () => Database) {
    this.#state = state;
  }

  #read(): Snapshot {
    if (this.#snapshot && performance.now() - this.#snapshot.readMs < FRESH_MS) return this.#snapshot;
    const state = this.#state();
    const residents = state
      .prepare(
        `SELECT c.id, n.name AS node, c.namespace, c.pod, c.name AS container, CAST(c.cgroup AS TEXT) AS cgroupId, c.addresses,
          c.labels, c.workload, c.first_us AS firstUs, c.gone_us AS goneUs FROM containers c JOIN nodes n ON n.id = c.node`,
      )
      .all() as Resident[];
    const rows = state
      .prepare('SELECT container, protocol, high, low, port, first_us, gone_us FROM listeners')
      .safeIntegers()
      .raw()
      .all() as [bigint, bigint, bigint, bigint, bigint, bigint, bigint | null][];
    const listening = rows.map(([container, protocol, high, low, port, first, gone]) => ({
      container: Number(container),
      protocol: Number(protocol),
      address: addressText(toBits(high, low)),
      port: Number(port),
      firstUs: Number(first),
      goneUs: gone === null ? null : Number(gone),
    }));
    this.#snapshot = {
      readMs: performance.now(),
      byId: new Map(residents.map((it) => [it.id, it])),
      byAddress: grouped(
        residents.flatMap((it) =>
          (JSON.parse(it.addresses) as string[]).map((address) => [normal(address), it] as const),
        ),
      ),
      listening: grouped(listening.map((it) => [it.container, it] as const)),
      nodes: new Map(this.#nodeAddresses(state)),
    };
    return this.#snapshot;
  }

  #nodeAddresses(state: Database): [string, string][] {
    const rows = state.prepare('SELECT name, hello FROM nodes').all() as { name: string; hello: string }[];
    return rows.flatMap(({ name, hello }) =>
      ((JSON.parse(hello) as { addresses?: string[] }).addresses ?? []).map((address): [string, string] => [
        normal(address),
        name,
      ]),
    );
  }

  /** Who was reached at an address; null: nobody that is known, or several that cannot be told apart. `node`: of who asks. */
  peerAt(address: string, port: number, protocol: number, us: number, node: string): LabelledPeer | null {
    const { byAddress, listening, nodes } = this.#read();
    const there = (byAddress.get(address) ?? []).filter((it) => isThere(it, us));
    // Hosts that do not route to each other can use the same private addresses.
    const near = there.some((it) => it.node === node) ? there.filter((it) => it.node === node) : there;
    const serves = (it: Listening) =>
      it.port === port &&
      it.protocol === protocol &&
      (it.address === address || isUnspecified(it.address)) &&
      isThere(it, us);
    const servers = near.filter((it) => (listening.get(it.id) ?? []).some(serves));
    const [server] = servers;
    if (server && servers.length === 1) return peerOf(server, server.container, 'listener');
    const pods = new Set(near.map((it) => `${it.node} ${it.namespace} ${it.pod}`));
    const [first] = near;
    if (first && pods.size === 1) {
      const containers = near.filter((it) => it.container !== SANDBOX);
      const single = containers.length === 1 ? containers[0] : undefined;
      return peerOf(single ?? first, single?.container ?? '', 'address');
    }
    const host = nodes.get(address);
    if (host === undefined || there.length > 0) return null;
    const nobody = { namespace: '', pod: '', container: '', labels: '{}', workload: '' };
    return { name: `node/${host}`, ...nobody, node: host, flow: null, how: 'address' };
  }

  containers(conditions: Conditions): number[] {
    return this.#state()
      .prepare(`SELECT c.id FROM state.containers c JOIN state.nodes n ON n.id = c.node ${where(conditions.sql)}`)
      .pluck()
      .all(...conditions.values) as number[];
  }

  texts(pattern: string): number[] {
    return this.#state().prepare('SELECT id FROM state.strings WHERE text GLOB ?').pluck().all(pattern) as number[];
  }

  endpoints(containers: readonly number[]): string[] {
    const { byId, listening } = this.#read();
    const found = new Set<string>();
    for (const id of containers) {
      const addresses = (JSON.parse(byId.get(id)?.addresses ?? '[]') as string[]).map(normal);
      const own = listening.get(id) ?? [];
      for (const address of addresses) {
        if (own.length === 0) found.add(halves(address));
        for (const it of own)
          if (isUnspecified(it.address) || it.address === address) found.add(`${halves(address)} ${it.port}`);
      }
    }
    return [...found];
  }
}

/** As addressText writes it. */
function normal(address: string): string {
  const bits = addressBits(address);
  return bits === undefined ? address : addressText(bits);
}

function halves(address: string): string {
  const bits = addressBits(address) ?? 0n;
  return `${BigInt.asIntN(64, bits >> 64n)} ${BigInt.asIntN(64, bits)}`;
}

function peerOf(it: Resident, container: string, how: Peer['how']): LabelledPeer {
  const { namespace, pod, node, labels, workload } = it;
  const name =
    container === '' ? [namespace, pod].filter((part) => part !== '').join('/') : displayName({ ...it, container });
  return { name: name || `cgroup:${it.cgroupId}`, namespace, pod, container, node, labels, workload, flow: null, how };
}
