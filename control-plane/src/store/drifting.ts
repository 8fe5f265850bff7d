// SPDX-License-Identifier: Apache-2.0
//
// What drift is found in, read from the store.
import type { FilterPart } from '../flows/filter.js';
import { unpackKind } from '../flows/record.js';
import type { DriftEdge, DriftHistory } from '../learn/index.js';
import type { Directory, LabelledPeer } from './directory.js';
import type { Edge } from './edges.js';
import type { Learning } from './learning.js';
import type { RuleUses } from './rule_use.js';

const EGRESS = 1;

export interface DriftTimes {
  readonly sinceUs: number;
  readonly untilUs: number;
  readonly unusedSinceUs: number;
}

const isSamePod = (a: LabelledPeer, b: LabelledPeer | null): boolean =>
  b !== null && a.namespace === b.namespace && a.pod === b.pod && (a.pod !== '' || a.container === b.container);

export class Drifting {
  readonly #directory: Directory;
  readonly #learning: Learning;
  readonly #ruleUses: RuleUses;

  constructor(directory: Directory, learning: Learning, ruleUses: RuleUses) {
    this.#directory = directory;
    this.#learning = learning;
    this.#ruleUses = ruleUses;
  }

  /** policies: whose rules are looked at. */
  history(
    { unusedSinceUs, ...times }: DriftTimes,
    filter: FilterPart,
    policies: readonly string[],
    nowUs: number,
  ): DriftHistory {
    const { edges, containers, coverage } = this.#learning.past(times, filter, nowUs);
    const { firstUs } = this.#learning.firstAndLast({ sinceUs: unusedSinceUs, untilUs: times.untilUs });
    return {
      edges: edges.map((it) => this.#withFirst(it)),
      containers,
      coverage,
      rules: this.#ruleUses.last(policies, unusedSinceUs, nowUs),
      unusedSinceUs,
      unusedFirstUs: firstUs,
    };
  }

  /** An address may have had another owner when the first of these flows went there. */
  #withFirst(edge: Edge): DriftEdge {
    const { protocol, direction } = unpackKind(edge.kind);
    if (direction !== EGRESS || edge.firstUs === edge.lastUs) return edge;
    const { address, port } = edge.backend ?? edge;
    const first = this.#directory.peerAt(address, port, protocol, edge.firstUs, edge.container.node);
    return first && !isSamePod(first, edge.peer) ? { ...edge, firstPeer: first } : edge;
  }
}
