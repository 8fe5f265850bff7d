// SPDX-License-Identifier: Apache-2.0
//
// Where policies and what containers do have moved apart. The same history gives the same answer, whatever its order.
import { type Policy, policyKey, selects, type World } from '../../policy/index.js';
import { coverageOf } from '../coverage.js';
import { Labelling } from '../labels.js';
import type { PeerContext } from '../peers.js';
import { type Place, peerText, type Seen } from '../seen.js';
import { Judge, type Judgement } from './judge.js';
import type { Drift, DriftHistory, Lived, NewFlow, Release, StandingDocument, UnusedRule } from './model.js';
import { movedPeers } from './moved.js';
import { driftNotes } from './notes.js';
import { type Patched, patchOf, type Wanted } from './patch.js';
import { emptyPolicies, unusedRules } from './rules.js';
import { type Done, type NewVersion, newVersions } from './versions.js';

/** Findings of each kind, and patches, in one answer; `more` counts the others. */
const MOST_FINDINGS = 500;
const MOST_PATCHES = 50;
const DEFAULT_DENY = '(default deny)';

/** Something new that no rule accepts. */
interface Uncovered {
  readonly version: NewVersion;
  readonly all: readonly Done[];
  readonly judgement: Judgement;
}

const isCovered = ({ verdict, rule }: Judgement): boolean => verdict === 'allowed' && rule !== null;

/** The same connection, as its other end has it. */
function mirrored(seen: Seen, own: string): Seen | null {
  if (!seen.peer || seen.peer.pod === '') return null;
  const port = seen.backend?.port ?? seen.port;
  const direction = seen.direction === 'egress' ? 'ingress' : 'egress';
  return { ...seen, own: seen.peer, peer: seen.own, direction, port, address: own, backend: null, name: null };
}

/** Rules that would help, by policy: only isolation can be lifted by one, and a cluster policy is nobody's in particular. */
function wantedOf(uncovered: readonly Uncovered[], policies: ReadonlyMap<string, Policy>, judge: Judge) {
  const wanted = new Map<string, Wanted[]>();
  for (const { version, all, judgement } of uncovered) {
    const policy = policies.get(judgement.policy ?? '');
    if (!policy || judgement.rule !== DEFAULT_DENY || policy.kind === 'ClusterContainerPolicy') continue;
    const key = policyKey(policy);
    const list = wanted.get(key) ?? [];
    wanted.set(key, list);
    for (const done of all) {
      const connection = judge.connectionOf(done);
      if (!connection) continue;
      const isOwn = selects(policy, connection.container) && policy.isolated[done.seen.direction];
      const seen = isOwn ? done.seen : mirrored(done.seen, connection.container.addresses[0] ?? '');
      if (seen) list.push({ seen, why: `${version.container}, ${version.now}` });
    }
  }
  return wanted;
}

function flowOf({ all, judgement: { verdict, policy, rule } }: Uncovered, patched: boolean): NewFlow {
  const { seen } = all[0] as Done;
  return {
    direction: seen.direction,
    peer: peerText(seen),
    protocol: seen.protocol,
    port: seen.port,
    flows: all.reduce((sum, it) => sum + it.seen.flows, 0),
    firstUs: all.reduce((least, it) => Math.min(least, it.seen.firstUs), Number.POSITIVE_INFINITY),
    lastUs: all.reduce((most, it) => Math.max(most, it.seen.lastUs), 0),
    verdict,
    rule: policy === null ? null : `${policy}:${rule}`,
    patched,
  };
}

function releasesOf(
  versions: readonly NewVersion[],
  uncovered: readonly Uncovered[],
  patched: ReadonlySet<Uncovered>,
): Release[] {
  return versions.flatMap((version) => {
    const own = uncovered.filter((it) => it.version === version);
    if (own.length === 0) return [];
    const { container, before, now, sinceUs, known, kept, fresh } = version;
    const flows = own.map((it) => flowOf(it, patched.has(it)));
    return [{ container, before, now, sinceUs, known, kept, covered: fresh.length - own.length, flows }];
  });
}

const placeOf = ({ labels, ...it }: Lived): Place => ({ ...it, labels: JSON.parse(labels) as Record<string, string> });

/** namespace: of containers, and of the policies that are looked at; null: all. */
export function drift(
  history: DriftHistory,
  standing: readonly StandingDocument[],
  world: World,
  namespace: string | null,
): Drift {
  const { edges, containers } = history;
  const coverage = coverageOf(history.coverage);
  const documents = new Map(standing.map((it) => [it.key, it]));
  const all = new Map([...world.policies].map((it) => [policyKey(it), it]));
  const looked = [...all.values()]
    .filter((it) => namespace === null || it.namespace === namespace)
    .sort((a, b) => (policyKey(a) < policyKey(b) ? -1 : 1));
  const empty = emptyPolicies(looked, documents, containers);
  const idle = new Set(empty.map(({ policy }) => policy));
  const unused = unusedRules(
    looked.filter((it) => !idle.has(policyKey(it))),
    documents,
    history,
  );
  const listed = unused.rules.slice(0, MOST_FINDINGS);

  const versions = newVersions(edges, containers, coverage.sinceUs);
  const fresh = versions.flatMap((version) => version.fresh.map((done) => ({ version, all: done })));
  const judge = new Judge(
    world,
    fresh.flatMap((it) => it.all),
  );
  const judgements = judge.of(fresh.map((it) => it.all));
  const open = fresh.map((it, index): Uncovered => ({ ...it, judgement: judgements[index] as Judgement }));
  const uncovered = open.filter(({ judgement }) => !isCovered(judgement));
  const shown = uncovered.slice(0, MOST_FINDINGS);
  const patches = patchesOf(shown, listed, { all, documents, judge, world, containers, edges });
  const patched = acceptedBy(patches, shown, world, judge);
  const peers = movedPeers(edges, containers, world);
  const found = {
    coverage,
    unusedSinceUs: history.unusedSinceUs,
    policies: looked.length,
    containers: containers.filter((it) => namespace === null || it.namespace === namespace).length,
    young: unused.young,
    unusedFirstUs: unused.firstUs,
    unused: listed,
    empty: empty.slice(0, MOST_FINDINGS),
    releases: releasesOf(versions, shown, patched),
    peers: peers.slice(0, MOST_FINDINGS),
    patches: patches.slice(0, MOST_PATCHES).map(({ policies: _, ...it }) => it),
    more: {
      unused: unused.rules.length - listed.length,
      empty: Math.max(0, empty.length - MOST_FINDINGS),
      releases: uncovered.length - shown.length,
      peers: Math.max(0, peers.length - MOST_FINDINGS),
      patches: Math.max(0, patches.length - MOST_PATCHES),
    },
    unasked: judge.unasked,
    unnamed: unnamedOf(history, namespace),
  };
  return { ...found, notes: driftNotes(found) };
}

interface Known {
  readonly all: ReadonlyMap<string, Policy>;
  readonly documents: ReadonlyMap<string, StandingDocument>;
  readonly judge: Judge;
  readonly world: World;
  readonly containers: readonly Lived[];
  readonly edges: DriftHistory['edges'];
}

function patchesOf(
  uncovered: readonly Uncovered[],
  unused: readonly UnusedRule[],
  { all, documents, judge, world, containers }: Known,
): Patched[] {
  const wanted = wantedOf(uncovered, all, judge);
  const removable = unused.filter(({ action }) => action === 'Accept');
  const context: PeerContext = {
    labelling: new Labelling(containers.map(placeOf).filter((it) => it.pod !== '' || it.container !== '')),
    services: world.services,
    apiServer: world.options.apiServer,
  };
  return [...all]
    .flatMap(([key, policy]) => {
      const document = documents.get(key);
      if (!document) return [];
      const own = removable.filter((it) => it.policy === key);
      return patchOf(policy, document, own, wanted.get(key) ?? [], context) ?? [];
    })
    .sort((a, b) => (a.policy < b.policy ? -1 : 1));
}

/** Asked again with the patched policies: another policy may refuse it still. */
function acceptedBy(
  patches: readonly Patched[],
  uncovered: readonly Uncovered[],
  world: World,
  judge: Judge,
): Set<Uncovered> {
  const changed = new Map(patches.map((it) => [it.policy, it.policies[0] as Policy]));
  const policies = world.policies.map((it) => changed.get(policyKey(it)) ?? it);
  const refused = uncovered.filter(({ judgement: { rule } }) => rule === DEFAULT_DENY);
  const then = judge.of(
    refused.map((it) => it.all),
    policies,
  );
  return new Set(refused.filter((_, index) => isCovered(then[index] as Judgement)));
}

function unnamedOf({ edges, containers }: DriftHistory, namespace: string | null): Drift['unnamed'] {
  const nameless = edges.filter(({ container }) => container.container === '');
  return {
    containers: containers.filter((it) => it.container === '' && (namespace === null || it.namespace === namespace))
      .length,
    flows: nameless.reduce((sum, { flows }) => sum + flows, 0),
  };
}
