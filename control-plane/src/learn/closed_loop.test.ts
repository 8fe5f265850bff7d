// SPDX-License-Identifier: Apache-2.0
//
// Generated histories, from flows as agents send them to policies that are enforced: these accept all that they were learned from, and
// little else. LONG=1: a million flows (make learning).
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MadeFlow, MadeHistory, type Odd } from '../testing/history.js';
import { historyIn, type LearnedHere, learnedHere, storeOf } from '../testing/history_store.js';
import { type Width, widthOf } from '../testing/history_width.js';
import { Random } from '../testing/random.js';
import type { History, LearnOptions, Seen } from './index.js';

const LONG = process.env.LONG === '1';
const FLOWS = LONG ? 1_000_000 : 20_000;
const SEEDS = LONG ? [1, 2, 3] : [1, 2];
/** Of the universe: the rest is as the part. */
const PART = LONG ? 0.2 : 0.005;

/** mostPart: of what could be made of the ends and ports of a history and nobody did, what may be accepted. */
const LEVELS: readonly (Partial<LearnOptions> & { readonly level: string; readonly mostPart: number })[] = [
  { level: 'exact', networks: 1000, ports: 1000, names: null, mostPart: 0.003 },
  { level: 'usual', mostPart: 0.005 },
  { level: 'wide', networks: 3, ports: 3, names: 3, mostPart: 0.01 },
];

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const random = new Random(seed);
  return list
    .map((it) => ({ it, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ it }) => it);
}

function refusedOf(flows: Iterable<MadeFlow>, { evaluator }: LearnedHere): string[] {
  const asked = new Map<string, string | null>();
  for (const { own, direction, address, protocol, port, name, odd } of flows) {
    if (odd !== null) continue;
    const key = [own.cgroup, direction, address, protocol, port, name].join(' ');
    if (asked.has(key)) continue;
    const names = name === undefined ? [] : [name];
    const { verdict, policy, rule } = evaluator.evaluate({ container: own, direction, address, protocol, port, names });
    asked.set(key, verdict === 'allowed' ? null : `${own.namespace}/${own.pod}/${own.name} ${key} ${policy}:${rule}`);
  }
  return [...asked.values()].flatMap((it) => it ?? []);
}

describe.each(SEEDS)('history %i', (seed) => {
  const made = new MadeHistory(seed, FLOWS);
  let past: History;
  beforeAll(() => {
    const store = storeOf(made, made.flows());
    past = historyIn(store);
    store.close();
  }, 600_000);

  it('is on record whole', () => {
    const count = past.seen.reduce((sum, it) => sum + it.flows, 0);
    expect(count).toBe([...made.flows()].length);
    expect(count).toBeGreaterThan(FLOWS * 0.9);
    expect(past.coverage.wrongClock).toBe(0);
  });

  describe.each(LEVELS)('learned from, $level', ({ level, mostPart, ...generality }) => {
    let here: LearnedHere;
    let width: Width;
    beforeAll(() => {
      here = learnedHere(made, past, generality);
      width = widthOf(made, here.evaluator, PART);
    });

    it('is accepted, but for what was refused, met once, never answered, or cannot be named', () => {
      expect(refusedOf(made.flows(), here)).toEqual([]);
      const odd = new Map<Odd, number>();
      for (const { reason, port } of here.learned.apart) {
        expect(port).toBeGreaterThanOrEqual(30_000);
        odd.set(reason as Odd, (odd.get(reason as Odd) ?? 0) + 1);
      }
      expect(Object.fromEntries(odd)).toEqual({ denied: 4, 'one-off': 4, 'never-answered': 4, protocol: 4 });
      for (const { own, odd, direction, address, protocol, port } of made.flows())
        if (odd !== null)
          expect(here.evaluator.evaluate({ container: own, direction, address, protocol, port }).verdict).toBe(
            'denied',
          );
    });

    it('opens little that nobody used', () => {
      const { seen, others, accepted, examples } = width;
      expect(accepted / others, examples.join('\n')).toBeLessThanOrEqual(mostPart);
      widths.push({ seed, level, seen, others, accepted });
    });
  });
});
const widths: object[] = [];
afterAll(() => {
  if (LONG) console.table(widths);
});

describe('what is learned', () => {
  const made = new MadeHistory(7, 2000);
  const flows = [...made.flows()];
  const learned = (all: readonly MadeFlow[]) => {
    const store = storeOf(made, all);
    const past = historyIn(store);
    store.close();
    return { past, yaml: learnedHere(made, past).yaml };
  };
  const { past, yaml } = learned(flows);

  it('is the same in any order in which flows came, and in any in which they are read', () => {
    expect(learned(flows).yaml).toBe(yaml);
    expect(learned(shuffled(flows, 1)).yaml).toBe(yaml);
    for (const by of [2, 3]) {
      const seen: Seen[] = shuffled(past.seen, by);
      expect(learnedHere(made, { seen, containers: shuffled(past.containers, by) }).yaml).toBe(yaml);
    }
  });

  it('is the same when flows come again, but for their number; what was met once is met twice then', () => {
    const withoutCounts = (text: string) => text.replace(/[\d,]+ flows?/g, 'flows');
    const again = flows.filter((it) => it.odd !== 'one-off');
    const twice = [...flows, ...again].sort((a, b) => a.sample.endUs - b.sample.endUs);
    expect(withoutCounts(learned(twice).yaml)).toBe(withoutCounts(yaml));
  });
});
