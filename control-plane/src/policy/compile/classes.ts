// SPDX-License-Identifier: Apache-2.0
//
// Decisions over all protocols and ports, as few entries of a longest-prefix table.
import { TCP, UDP } from '../model.js';
import { portPrefixes } from '../ports.js';
import { NO_RULE } from './catalog.js';
import type { PortEntry } from './compiled.js';
import { type Decision, same } from './decide.js';

/** Decides for one port, of protocol 0 for all those that no rule names. */
export type DecideAt = (protocol: number, port: number) => Decision;

/** By protocol: the ports at which a decision can begin. */
export type Edges = ReadonlyMap<number, ReadonlySet<number>>;

interface Segment {
  readonly first: number;
  last: number;
  readonly decision: Decision;
}

/** Runs of ports with one decision, which cover all ports. */
function segmentsOf(protocol: number, edges: ReadonlySet<number>, decideAt: DecideAt): Segment[] {
  const starts = [...new Set([0, ...edges])].filter((port) => port <= 65535).sort((a, b) => a - b);
  const segments: Segment[] = [];
  starts.forEach((first, index) => {
    const last = (starts[index + 1] ?? 65536) - 1;
    const decision = decideAt(protocol, first);
    const before = segments.at(-1);
    if (before && same(before.decision, decision)) before.last = last;
    else segments.push({ first, last, decision });
  });
  return segments;
}

type Row = readonly [protocol: number, port: number, length: number, decision: Decision];

function rowsOf(edges: Edges, decideAt: DecideAt): Row[] {
  const other = decideAt(0, 0);
  const rows: Row[] = [[0, 0, 0, other]];
  if (edges.size === 0) return rows;
  for (const protocol of new Set([TCP, UDP, ...edges.keys()])) {
    const segments = segmentsOf(protocol, edges.get(protocol) ?? new Set(), decideAt);
    const widest = segments.reduce((a, b) => (b.last - b.first > a.last - a.first ? b : a));
    if (segments.length === 1 && same(widest.decision, other)) continue;
    rows.push([protocol, 0, 0, widest.decision]);
    for (const { first, last, decision } of segments) {
      if (same(decision, widest.decision)) continue;
      for (const prefix of portPrefixes(first, last)) rows.push([protocol, prefix.port, prefix.length, decision]);
    }
  }
  return rows;
}

/** Classes of one rule set; those with the same entries are one. */
export class Classes {
  readonly #known = new Map<string, number>();
  readonly #numberOf: (ref: number) => number;
  readonly #ports: PortEntry[];
  readonly #closed = new Set<number>();
  readonly #none: number;
  readonly #first: number;

  /** `none`: the rule where none has a say. Classes are numbered from `first`; their entries are appended to `ports`. */
  constructor(ports: PortEntry[], numberOf: (ref: number) => number, none: number, first = 1) {
    this.#ports = ports;
    this.#numberOf = numberOf;
    this.#none = none;
    this.#first = first;
  }

  add(edges: Edges, decideAt: DecideAt): number {
    const rows = rowsOf(edges, decideAt);
    const number = this.intern(
      rows.map(([protocol, port, portPrefixLength, { verdict, ref, lift, lifted }]) => ({
        protocol,
        port,
        portPrefixLength,
        verdict,
        rule: ref === NO_RULE ? this.#none : this.#numberOf(ref),
        lift,
        liftedRule: lifted === NO_RULE ? 0 : this.#numberOf(lifted),
      })),
    );
    const [only] = rows;
    if (rows.length === 1 && only?.[3].verdict === 2 && only[3].lift === 0) this.#closed.add(number);
    return number;
  }

  intern(entries: readonly Omit<PortEntry, 'class'>[]): number {
    let key = '';
    for (const it of entries)
      key += `${it.protocol},${it.port},${it.portPrefixLength},${it.verdict},${it.rule},${it.lift},${it.liftedRule};`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const number = this.#first + this.#known.size;
    this.#known.set(key, number);
    for (const it of entries) this.#ports.push({ class: number, ...it });
    return number;
  }

  /** Everything is denied, whoever is there and whatever names say. */
  isClosed(number: number): boolean {
    return this.#closed.has(number);
  }
}
