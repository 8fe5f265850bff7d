// SPDX-License-Identifier: Apache-2.0
//
// Which versions of a workload container there were, and what each was the first to do. A version is an image and, where a
// controller of Kubernetes tells them apart, a release: the same tag may be another program, or another configuration.
import { isLoopback } from '../../flows/ends.js';
import { compare, grouped } from '../../flows/group.js';
import { type Place, type Seen, toSeen, workloadKey } from '../seen.js';
import { Doings, doingKey } from './doings.js';
import type { DriftEdge, Lived, Release } from './model.js';

const RELEASES = ['pod-template-hash', 'controller-revision-hash'];

export interface Done {
  readonly edge: DriftEdge;
  readonly seen: Seen;
}

/** A newer version, with what none before it did. */
export interface NewVersion extends Omit<Release, 'covered' | 'flows'> {
  readonly namespace: string;
  /** By what was done, sorted. */
  readonly fresh: readonly (readonly Done[])[];
}

type Labels = Readonly<Record<string, string>>;

function versionOf(image: string, labels: Labels): string {
  const release = RELEASES.map((key) => labels[key]).find((it) => it !== undefined);
  if (release === undefined) return image;
  return image === '' ? `release ${release}` : `${image} (${release})`;
}

const nameOf = (own: Pick<Place, 'namespace' | 'pod' | 'labels'>, container: string): string =>
  [...workloadKey(own).split('/'), container].filter((part) => part !== '').join('/');

/** When the first container of each version was there, by workload container. */
function births(containers: readonly Lived[]): Map<string, Map<string, number>> {
  const found = new Map<string, Map<string, number>>();
  for (const { labels: json, image, container, firstUs, ...it } of containers) {
    if (container === '') continue;
    const labels = JSON.parse(json) as Labels;
    const key = nameOf({ ...it, labels }, container);
    const versions = found.get(key) ?? new Map<string, number>();
    found.set(key, versions);
    const version = versionOf(image, labels);
    versions.set(version, Math.min(versions.get(version) ?? firstUs, firstUs));
  }
  return found;
}

/** Which says nothing of a version: inside the pod, and probes of the node. */
function isUsual({ own, peer, address, direction }: Seen): boolean {
  if (isLoopback(address)) return true;
  return direction === 'ingress' && peer !== null && peer.pod === '' && peer.container === '' && peer.node === own.node;
}

/** sinceUs: versions that were there by then are the old ones; where none was, the first one is. */
export function newVersions(edges: readonly DriftEdge[], containers: readonly Lived[], sinceUs: number): NewVersion[] {
  const born = new Map([...births(containers)].filter(([, versions]) => versions.size > 1));
  const byContainer = grouped(
    edges.flatMap((edge) => {
      const seen = toSeen(edge);
      const key = nameOf(seen.own, seen.own.container);
      if (seen.own.container === '' || !born.has(key) || isUsual(seen)) return [];
      return [[key, { edge, seen }] as const];
    }),
  );
  const found: NewVersion[] = [];
  for (const [key, done] of [...byContainer].sort(([a], [b]) => compare(a, b))) {
    const byVersion = grouped(done.map((it) => [versionOf(it.edge.container.image, it.seen.own.labels), it] as const));
    const versions = [...(born.get(key) ?? [])].sort(([a, x], [b, y]) => x - y || compare(a, b));
    const firstUs = Math.max(sinceUs, versions[0]?.[1] ?? 0);
    const past = new Doings();
    const before: string[] = [];
    for (const [version, bornUs] of versions) {
      const does = byVersion.get(version) ?? [];
      if (bornUs > firstUs) {
        const own = new Doings();
        for (const { seen } of does) own.add(seen);
        const fresh = grouped(does.filter(({ seen }) => !past.has(seen)).map((it) => [doingKey(it.seen), it] as const));
        found.push({
          namespace: done[0]?.seen.own.namespace ?? '',
          container: key,
          before: before.at(-1) ?? '',
          now: version,
          sinceUs: bornUs,
          known: past.size,
          kept: past.shared(own),
          fresh: [...fresh].sort(([a], [b]) => compare(a, b)).map(([, all]) => all),
        });
      }
      before.push(version);
      for (const { seen } of does) past.add(seen);
    }
  }
  return found;
}
