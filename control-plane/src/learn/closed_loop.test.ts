// SPDX-License-Identifier: Apache-2.0
//
// Generated histories: what is learned from one accepts all of it.
import { describe, expect, it } from 'vitest';
import { Evaluator, NO_OPTIONS, parseDocuments, type WorldContainer } from '../policy/index.js';
import { type History, makeHistory, placeOf } from '../testing/history.js';
import { coverageOf, learn, type Place, type Seen, USUAL_OPTIONS, writeLearned } from './index.js';

const COVERAGE = coverageOf({ sinceUs: 0, untilUs: 1, firstUs: 0, lastUs: 1, lost: [], silent: [], wrongClock: 0 });
const OPTIONS = { ...USUAL_OPTIONS, mode: 'Enforce' } as const;

function learnedFrom(
  history: History,
  options: typeof OPTIONS | (typeof OPTIONS & { networks: 3; ports: 3 }) = OPTIONS,
) {
  const containers = history.containers.map(placeOf);
  const learned = learn({ seen: history.seen, containers, services: history.services, apiServer: [] }, options);
  const { policies, problems } = parseDocuments(writeLearned(learned, COVERAGE), 'learned');
  expect(problems).toEqual([]);
  const world = { ...history, policies, options: NO_OPTIONS };
  return { learned, evaluator: new Evaluator(world) };
}

function refusedOf(history: History, evaluator: Evaluator): Seen[] {
  const key = (it: Place) => `${it.namespace}/${it.pod}/${it.container}`;
  const containers = new Map(history.containers.map((it) => [key(placeOf(it)), it]));
  return history.seen.filter(({ own, direction, address, protocol, port, name }) => {
    const container = containers.get(key(own)) as WorldContainer;
    const names = name === null ? [] : [name];
    return evaluator.evaluate({ container, direction, address, protocol, port, names }).verdict !== 'allowed';
  });
}

describe.each(Array.from({ length: 6 }, (_, i) => i + 1))('history %i', (seed) => {
  const history = makeHistory(seed, 600);

  it('is accepted by what is learned from it', () => {
    const { evaluator, learned } = learnedFrom(history);
    expect(learned.apart).toEqual([]);
    expect(refusedOf(history, evaluator)).toEqual([]);
  });

  it('is accepted when networks and ports are few and wide, too', () => {
    const { evaluator } = learnedFrom(history, { ...OPTIONS, networks: 3, ports: 3 });
    expect(refusedOf(history, evaluator)).toEqual([]);
  });

  it('is all that is accepted, but for what the evidence counts', () => {
    const { evaluator, learned } = learnedFrom(history);
    const container = history.containers[0] as WorldContainer;
    const elsewhere = { container, direction: 'egress', address: '45.33.32.156', protocol: 6, port: 31337 } as const;
    expect(evaluator.evaluate(elsewhere).verdict).toBe('denied');
    for (const policy of learned.policies)
      for (const rule of [...policy.egress, ...policy.ingress])
        expect(rule.evidence.unseen, rule.document.name).toBeGreaterThanOrEqual(0);
  });
});
