// SPDX-License-Identifier: Apache-2.0
//
// What the names that a profile's rules accept lead to.
import { nameMatches } from '../names.js';
import { portPrefixes } from '../ports.js';
import type { CatalogRule } from './catalog.js';
import type { Classes } from './classes.js';
import { LIFT, type NameEntry, type PortEntry, VERDICT } from './compiled.js';
import { matchOf, portsAt } from './match.js';
import type { Profile } from './profiles.js';

/** Whatever the wildcard stands for, `pattern` stands for it as well. */
function covers(wildcard: string, pattern: string): boolean {
  if (wildcard === pattern) return true;
  return (
    nameMatches(wildcard, pattern.startsWith('*.') ? `x${pattern.slice(1)}` : pattern) && wildcard.startsWith('*.')
  );
}

type Row = Omit<PortEntry, 'class'>;
type Accepts = (protocol: number, port: number) => { readonly verdict: number; readonly ref: number } | undefined;

function acceptsOf(rules: readonly CatalogRule[]): Accepts {
  const matches = rules.map((rule) => matchOf(rule, portsAt(rule, null), false));
  return (protocol, port) => {
    const holding = matches.filter(
      ({ ports }) =>
        ports === null || ports.some((it) => it.protocol === protocol && it.first <= port && port <= it.last),
    );
    const enforced = holding.find((match) => match.enforced);
    const found = enforced ?? holding[0];
    return found && { verdict: enforced ? VERDICT.allowed : VERDICT.audit, ref: found.ref };
  };
}

/** Ports without a row are not accepted by the name. */
function rowsOf(rules: readonly CatalogRule[], numberOf: (ref: number) => number): Row[] {
  const accepts = acceptsOf(rules);
  const edges = new Map<number, Set<number>>([[0, new Set([0])]]);
  for (const rule of rules)
    for (const range of portsAt(rule, null) ?? []) {
      const known = edges.get(range.protocol) ?? new Set([0]);
      edges.set(range.protocol, known.add(range.first).add(range.last + 1));
    }
  const rows: Row[] = [];
  for (const [protocol, starts] of edges) {
    const sorted = [...starts].filter((port) => port <= 65535).sort((a, b) => a - b);
    sorted.forEach((first, index) => {
      const last = (sorted[index + 1] ?? 65536) - 1;
      const found = accepts(protocol, first);
      if (!found) return;
      const value = { verdict: found.verdict, rule: numberOf(found.ref), lift: LIFT.none, liftedRule: 0 };
      const whole = first === 0 && last === 65535;
      const prefixes = whole || protocol === 0 ? [{ port: 0, length: 0 }] : portPrefixes(first, last);
      for (const { port, length } of prefixes) rows.push({ protocol, port, portPrefixLength: length, ...value });
    });
  }
  return rows;
}

export function namedRules(profile: Profile): CatalogRule[] {
  return profile.policies.flatMap(({ rules }) => rules.egress.filter((rule) => rule.names.length > 0));
}

/** The class of a name has the rules of all patterns that stand for it. */
export function compileNames(profile: Profile, classes: Classes, numberOf: (ref: number) => number): NameEntry[] {
  const rules = namedRules(profile).sort((a, b) => a.order - b.order);
  const patterns = [...new Set(rules.flatMap((rule) => rule.names))].sort();
  const exact = new Map<string, CatalogRule[]>();
  const wildcards: { readonly pattern: string; readonly rule: CatalogRule }[] = [];
  for (const rule of rules)
    for (const pattern of rule.names) {
      exact.set(pattern, [...(exact.get(pattern) ?? []), rule]);
      if (pattern.startsWith('*.')) wildcards.push({ pattern, rule });
    }
  return patterns.map((pattern) => {
    const above = wildcards.filter((it) => covers(it.pattern, pattern)).map(({ rule }) => rule);
    const all = [...new Set([...(exact.get(pattern) ?? []), ...above])].sort((a, b) => a.order - b.order);
    return { name: pattern, class: classes.intern(rowsOf(all, numberOf)) };
  });
}
