// SPDX-License-Identifier: Apache-2.0
//
// A file of exported flows, line by line, summed up for the dry run of a change. What is kept is one sum for each different
// connection, however many lines there are.
import type { EffectInput } from './effect.js';
import { DIRECTIONS, ENDS, type Flow, type Peer, PROTOCOLS, packKind, VERDICTS } from './record.js';
import { type Resident, WORLD_FORMAT, type WorldRecord } from './world_record.js';

/** Different connections; a file with more is refused. */
const MOST_EDGES = 400_000;
/** Reports of births and deaths come after the connections that they explain. */
const SLACK_US = 60e6;
const SANDBOX = '(pod sandbox)';

/** What is wrong with a file, and where. */
export class RecordingError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = 'RecordingError';
    this.line = line;
  }
}

const HOW = "make it with 'cellwall export -o jsonl --world --file flows.jsonl'";
const NEEDED = ['node', 'container', 'direction', 'protocol', 'destination', 'verdict', 'endReason'] as const;

type Sum = { -readonly [K in keyof EffectInput]: EffectInput[K] };

const usOf = (text: string | null): number => (text === null ? Number.NaN : Date.parse(text) * 1000);
const placeOf = (it: { node: string; namespace: string; pod: string }, container: string): string =>
  [it.node, it.namespace, it.pod, container].join('\0');

function parse(text: string, line: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw new RecordingError(line, `is not JSON, so this is no export of flows as JSON lines; ${HOW}`);
}

export class Recording {
  #record: WorldRecord | undefined;
  #residents = new Map<string, Resident>();
  #byAddress = new Map<string, Resident[]>();
  readonly #sums = new Map<string, Sum>();
  #lines = 0;
  flows = 0;
  #firstUs = Number.POSITIVE_INFINITY;

  /** Lines in their order, the first one first. Empty ones are passed over. */
  add(text: string): void {
    const line = ++this.#lines;
    if (text.trim() === '') return;
    const value = parse(text, line);
    if (value.format !== undefined) this.#begin(value, line);
    else this.#flow(value, line);
  }

  #begin(value: Record<string, unknown>, line: number): void {
    if (value.format !== WORLD_FORMAT)
      throw new RecordingError(
        line,
        `has the format ${JSON.stringify(value.format)}; this version reads ${WORLD_FORMAT}`,
      );
    if (this.#record) throw new RecordingError(line, 'is a second world; simulate one export at a time');
    const missing = ['policies', 'containers', 'services', 'nodes', 'options'].filter(
      (it) => typeof value[it] !== 'object',
    );
    if (missing.length > 0) throw new RecordingError(line, `lacks ${missing.join(', ')} of the world; ${HOW}`);
    const record = value as unknown as WorldRecord;
    this.#record = record;
    for (const it of record.containers) {
      this.#residents.set(placeOf(it, it.name), it);
      for (const address of it.addresses) this.#byAddress.set(address, [...(this.#byAddress.get(address) ?? []), it]);
    }
  }

  #flow(value: Record<string, unknown>, line: number): void {
    const missing = NEEDED.filter((it) => value[it] === undefined);
    if (missing.length > 0)
      throw new RecordingError(line, `is no exported flow: it lacks ${missing.join(', ')}; ${HOW}`);
    if (!this.#record)
      throw new RecordingError(
        line,
        `is a flow, and no world came before it: labels, addresses and the policies in force are missing; ${HOW}`,
      );
    const flow = value as unknown as Flow;
    const endUs = usOf(flow.end ?? flow.start);
    if (Number.isNaN(endUs)) throw new RecordingError(line, `is no exported flow: "end" is no time; ${HOW}`);
    const { container } = flow;
    const resident = this.#residents.get(placeOf({ ...container, node: flow.node }, container.container));
    const egress = flow.direction === 'egress';
    const port = egress ? flow.destination.port : (flow.local.port ?? 0);
    const { address } = flow.destination;
    const backend = egress ? (flow.translated?.destination ?? null) : null;
    const kind = packKind({
      protocol: PROTOCOLS[flow.protocol] ?? Number(flow.protocol),
      direction: DIRECTIONS.indexOf(flow.direction as 'egress'),
      verdict: VERDICTS.indexOf(flow.verdict as 'allowed'),
      end: flow.endReason === 'failed' ? ENDS.indexOf('failed') : 0,
      flags: 0,
      failure: 0,
      payload: 0,
      tls: 0,
    });
    const count = flow.count ?? 1;
    this.flows += count;
    this.#firstUs = Math.min(this.#firstUs, endUs);
    const far = backend ?? { address, port };
    const outside = egress ? (flow.translated?.source.address ?? null) : null;
    const key = [flow.node, container.name, kind, address, port, far.address, far.port, outside, flow.name].join(' ');
    const known = this.#sums.get(key);
    if (known) {
      known.flows += count;
      known.firstUs = Math.min(known.firstUs, endUs);
      known.lastUs = Math.max(known.lastUs, endUs);
      return;
    }
    if (this.#sums.size >= MOST_EDGES)
      throw new RecordingError(
        line,
        `is one different connection more than ${MOST_EDGES.toLocaleString('en')}; export less: a namespace, or a shorter time`,
      );
    this.#sums.set(key, {
      container: {
        node: flow.node,
        namespace: container.namespace,
        pod: container.pod,
        container: container.container,
        cgroupId: container.cgroupId,
        image: container.image,
        labels: JSON.stringify(resident?.labels ?? {}),
        addresses: JSON.stringify(resident?.addresses ?? [flow.local.address]),
      },
      wanted: true,
      kind,
      address,
      port,
      backend,
      outside,
      name: flow.name,
      peer: this.#peerAt(far.address, endUs),
      rulePolicy: flow.rule?.policy ?? null,
      ruleName: flow.rule?.name ?? null,
      rule: 0,
      flows: count,
      sentBytes: 0,
      receivedBytes: 0,
      firstUs: endUs,
      lastUs: endUs,
    });
  }

  /** Who had an address then. null: nobody that is known, or several pods that cannot be told apart. */
  #peerAt(address: string, us: number): (Peer & { labels: string }) | null {
    const there = (this.#byAddress.get(address) ?? []).filter(
      (it) => it.firstUs - SLACK_US <= us && (it.goneUs === null || us <= it.goneUs + SLACK_US),
    );
    const [first] = there;
    if (!first || new Set(there.map((it) => placeOf(it, ''))).size > 1) return null;
    const containers = there.filter((it) => it.name !== SANDBOX && it.name !== '');
    const container = containers.length === 1 ? (containers[0]?.name ?? '') : '';
    const { namespace, pod, node, labels } = first;
    const name = [namespace, pod, container].filter((part) => part !== '').join('/');
    return { name, namespace, pod, container, node, labels: JSON.stringify(labels), flow: null, how: 'address' };
  }

  /** What was read. Throws when there was nothing that can be judged. */
  finish(): { record: WorldRecord; edges: EffectInput[]; sinceUs: number } {
    if (!this.#record) throw new RecordingError(1, `holds no world and no flows; ${HOW}`);
    const { sinceUs, untilUs } = this.#record;
    return {
      record: this.#record,
      edges: [...this.#sums.values()],
      sinceUs: Math.max(sinceUs, Math.min(this.#firstUs, untilUs)),
    };
  }
}
