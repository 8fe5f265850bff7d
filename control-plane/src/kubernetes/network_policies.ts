// SPDX-License-Identifier: Apache-2.0
//
// NetworkPolicies of Kubernetes as policies in mode Audit: what they would refuse is on record, and refused by nobody here. One that
// cannot be said leaves the version before; one that is gone is deleted, but only when all are known.
import { stringify } from 'yaml';
import { fromNetworkPolicy } from '../policy/foreign/index.js';
import { type Parsed, parseObject } from '../policy/index.js';
import { type NewDocument, toStore } from '../rollout/documents.js';
import type { Rollout } from '../rollout/rollout.js';
import { auditOf } from './custom_policies.js';
import type { About, Told } from './events.js';
import type { Namespaces } from './namespaces.js';
import { type KubernetesObject, kept, type Resource } from './resources.js';

export const NETWORK_POLICIES: Resource<KubernetesObject> = {
  name: 'networkpolicies',
  group: 'networking.k8s.io',
  path: '/apis/networking.k8s.io/v1/networkpolicies',
  read: ({ metadata, spec }) => ({ ...IDENTITY, ...(metadata && { metadata: kept(metadata) }), spec }),
};
const IDENTITY = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' } as const;
const ORIGIN = 'networkpolicy';
/** Of what is wrong with one, in one event. */
const MOST_TOLD = 5;

interface Known {
  readonly about: About;
  readonly version: string;
  /** JSON of what was parsed. */
  readonly said: string;
  readonly parsed: Parsed;
  readonly told: Told | null;
}

/** What a person sees of it. */
function textOf(document: object, namespace: string, name: string): string {
  return `# NetworkPolicy ${namespace}/${name} of Kubernetes, in mode Audit. It cannot be changed here: use kubectl.\n${stringify(document, { lineWidth: 0 })}`;
}

const listed = (all: readonly string[]): string =>
  [...all.slice(0, MOST_TOLD), ...(all.length > MOST_TOLD ? [`and ${all.length - MOST_TOLD} more`] : [])].join('\n');

export class NetworkPolicies {
  readonly #rollout: Rollout;
  readonly #namespaces: Namespaces;
  /** null: not listed yet. */
  #objects: Map<string, KubernetesObject> | null = null;
  #known = new Map<string, Known>();

  constructor(rollout: Rollout, namespaces: Namespaces) {
    this.#rollout = rollout;
    this.#namespaces = namespaces;
  }

  replace(all: ReadonlyMap<string, KubernetesObject>): void {
    this.#objects = new Map(all);
  }

  put(key: string, object: KubernetesObject): void {
    this.#objects?.set(key, object);
  }

  remove(key: string): void {
    this.#objects?.delete(key);
  }

  /** By object, with what there is to tell of it. */
  get told(): Map<string, { about: About; told: Told }> {
    return new Map(
      [...this.#known].flatMap(([key, { about, told }]) => (told ? [[key, { about, told }] as const] : [])),
    );
  }

  get counts(): { read: number; refused: number; incomplete: number } {
    const told = [...this.#known.values()].map((it) => it.told?.reason);
    const refused = told.filter((it) => it === 'Invalid').length;
    return { read: told.length, refused, incomplete: told.filter((it) => it !== undefined).length - refused };
  }

  /** What of them is not in force yet, or should not be any more. */
  async synchronise(): Promise<void> {
    // Without namespaces, rules with selectors of namespaces would mean nobody.
    if (this.#objects === null || !this.#namespaces.isListed) return;
    this.#known = new Map([...this.#objects].map(([key, object]) => [key, this.#read(key, object)]));
    const put = [...this.#known.values()].flatMap(({ parsed, told }): NewDocument[] =>
      told?.reason === 'Invalid' ? [] : parsed.sources.map((it) => toStore(it, ORIGIN)),
    );
    const stays = new Set([...this.#known.keys()].map((key) => `networkpolicy:${key}`));
    await this.#rollout.synchronise(
      put,
      this.#stored().filter((key) => !stays.has(key)),
      auditOf(IDENTITY.kind),
    );
  }

  /** They are not read any more. */
  async drop(): Promise<void> {
    await this.#rollout.synchronise([], this.#stored(), auditOf(IDENTITY.kind));
  }

  #stored(): string[] {
    return this.#rollout.documents().flatMap(({ key, origin }) => (origin === ORIGIN ? [key] : []));
  }

  #read(key: string, object: KubernetesObject): Known {
    const { uid, generation = 0, name = '', namespace = '' } = object.metadata ?? {};
    const version = `${uid} ${generation} ${this.#namespaces.revision}`;
    const before = this.#known.get(key);
    if (before?.version === version) return before;
    const about: About = { ...IDENTITY, name, namespace, uid };
    const { documents, losses, problems } = fromNetworkPolicy(object, (it) => this.#namespaces.matching(it));
    const said = JSON.stringify(documents[0] ?? null);
    // Namespaces come and go more often than they change what a policy means.
    const parsed = before?.said === said ? before.parsed : parse(documents[0], namespace, name);
    const wrong = [...problems, ...parsed.problems].map((it) => `${it.where}: ${it.message}`);
    if (wrong.length > 0)
      return {
        about,
        version,
        said,
        parsed,
        told: { reason: 'Invalid', message: `not read by Cellwall: ${listed(wrong)}` },
      };
    const lost = losses.map(({ where, what }) => `${where.slice(where.lastIndexOf(':') + 1)}: ${what}`);
    const message = `read by Cellwall without a part, so that it seems to refuse more than it does: ${listed(lost)}`;
    return { about, version, said, parsed, told: lost.length > 0 ? { reason: 'Incomplete', message } : null };
  }
}

function parse(converted: object | undefined, namespace: string, name: string): Parsed {
  const none: Parsed = { policies: [], observations: [], sources: [], problems: [] };
  if (!converted) return none;
  const { spec } = converted as { spec: object };
  const metadata = { name, namespace };
  const document = { ...converted, kind: IDENTITY.kind, metadata, spec: { ...spec, mode: 'Audit' } };
  const parsed = parseObject(document, `${namespace}/${name}`);
  const text = textOf(document, namespace, name);
  const problems = parsed.problems.map(({ where, message }) => ({
    where: where.slice(where.indexOf(' ') + 1),
    message,
  }));
  return { ...parsed, problems, sources: parsed.sources.map((it) => ({ ...it, text })) };
}
