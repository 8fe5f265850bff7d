// SPDX-License-Identifier: Apache-2.0
//
// What policies say of connections that a newer version makes.
import type { EffectInput } from '../../flows/effect.js';
import { Residents } from '../../flows/residents.js';
import { type Connection, Evaluator, type Policy, type Verdict, type World } from '../../policy/index.js';
import { toSeen } from '../seen.js';
import type { Done } from './versions.js';

/** To the evaluator. */
const MOST_QUESTIONS = 20_000;
const WORST: readonly Verdict[] = ['denied', 'audit', 'allowed'];

export interface Judgement {
  readonly verdict: Verdict | 'unknown';
  readonly policy: string | null;
  readonly rule: string | null;
}

const UNKNOWN: Judgement = { verdict: 'unknown', policy: null, rule: null };

/** Allowed by a rule comes last, allowed for want of any before it. */
const rank = ({ verdict, rule }: Judgement): number =>
  verdict === 'unknown' ? 4 : WORST.indexOf(verdict) + (rule === null ? 0 : 0.5);

export class Judge {
  readonly #world: World;
  readonly #connections = new Map<EffectInput, Connection | null>();
  readonly #containers: World['containers'];
  #asked = 0;
  unasked = 0;

  /** done: all that will be asked about. */
  constructor(world: World, done: Iterable<Done>) {
    this.#world = world;
    const residents = new Residents(world.containers);
    for (const { edge } of done) {
      const { direction, protocol, port, name } = toSeen(edge);
      const [container, address] = [residents.own(edge), residents.addressOf(edge)];
      const names = name === null ? [] : [name.toLowerCase()];
      this.#connections.set(edge, address === null ? null : { container, direction, address, protocol, port, names });
    }
    this.#containers = [...world.containers, ...residents.ghosts];
  }

  /** policies: in place of those in force. */
  of(groups: readonly (readonly Done[])[], policies: readonly Policy[] = this.#world.policies): Judgement[] {
    const evaluator = new Evaluator({ ...this.#world, policies, containers: this.#containers });
    return groups.map((all) =>
      all
        .map(({ edge }) => this.#ask(evaluator, this.#connections.get(edge) ?? null))
        .reduce((worst, it) => (rank(it) < rank(worst) ? it : worst), UNKNOWN),
    );
  }

  connectionOf({ edge }: Done): Connection | null {
    return this.#connections.get(edge) ?? null;
  }

  #ask(evaluator: Evaluator, connection: Connection | null): Judgement {
    if (!connection) return UNKNOWN;
    if (this.#asked >= MOST_QUESTIONS) {
      this.unasked++;
      return UNKNOWN;
    }
    this.#asked++;
    const { verdict, policy, rule } = evaluator.evaluate(connection);
    return { verdict, policy, rule };
  }
}
