// SPDX-License-Identifier: Apache-2.0
//
// What a policy in mode Audit has found: flows that it would have refused, summed up by workload container, peer, port and rule.
import { grouped } from './group.js';
import { EGRESS, type MapInput, otherSide, ownSide } from './map.js';
import { protocolName, timeText, unpackKind, VERDICTS } from './record.js';

export interface Finding {
  readonly container: string;
  readonly direction: 'egress' | 'ingress';
  readonly peer: string;
  readonly port: number;
  readonly protocol: string;
  /** Of the policy. */
  readonly rule: string;
  readonly flows: number;
  readonly first: string;
  readonly last: string;
}

/** Most flows first. Each end of a connection has its own. */
export function findingsOf(edges: readonly MapInput[], policy: string): Finding[] {
  const found = edges.filter((it) => it.rulePolicy === policy && VERDICTS[unpackKind(it.kind).verdict] === 'audit');
  const groups = grouped(
    found.map((edge) => {
      const { direction, protocol } = unpackKind(edge.kind);
      const line = {
        container: ownSide(edge).name,
        direction: direction === EGRESS ? ('egress' as const) : ('ingress' as const),
        peer: otherSide(edge).name,
        port: edge.port,
        protocol: protocolName(protocol),
        rule: edge.ruleName ?? '',
      };
      return [Object.values(line).join('\0'), { line, edge }] as const;
    }),
  );
  return [...groups.values()]
    .flatMap((group): Finding[] => {
      const [first] = group;
      if (!first) return [];
      const sum = { flows: 0, firstUs: Number.POSITIVE_INFINITY, lastUs: 0 };
      for (const { edge } of group) {
        sum.flows += edge.flows;
        sum.firstUs = Math.min(sum.firstUs, edge.firstUs);
        sum.lastUs = Math.max(sum.lastUs, edge.lastUs);
      }
      return [{ ...first.line, flows: sum.flows, first: timeText(sum.firstUs), last: timeText(sum.lastUs) }];
    })
    .sort((a, b) => b.flows - a.flows || (a.container < b.container ? -1 : 1));
}
