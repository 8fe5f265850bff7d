// SPDX-License-Identifier: Apache-2.0
//
// By which labels a workload is selected: as few as tell it from the others of its namespace, and none that change.
import { grouped } from '../flows/group.js';
import { type Place, workloadKey } from './seen.js';

export interface PodSelection {
  readonly matchLabels: Readonly<Record<string, string>>;
  /** Instead, of pods without labels. */
  readonly names: readonly string[];
  /** Workloads that are selected as well. */
  readonly also: readonly string[];
}

/** That controllers of Kubernetes give to single pods, or anew with each release. */
const CHANGING = new Set([
  'pod-template-hash',
  'pod-template-generation',
  'controller-revision-hash',
  'controller-uid',
  'batch.kubernetes.io/controller-uid',
  'job-name',
  'batch.kubernetes.io/job-name',
  'batch.kubernetes.io/job-completion-index',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
]);
const CHANGES_WITH_RELEASES = new Set(['app.kubernetes.io/version', 'helm.sh/chart', 'version', 'chart', 'heritage']);
/** What people name applications by, best first. */
const USUAL = [
  'app.kubernetes.io/name',
  'app',
  'k8s-app',
  'app.kubernetes.io/component',
  'component',
  'app.kubernetes.io/instance',
  'tier',
  'role',
];

type Pod = Pick<Place, 'namespace' | 'pod' | 'labels' | 'workload'>;
type Labels = Readonly<Record<string, string>>;

const has = (labels: Labels, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

function rank(key: string): string {
  const at = USUAL.indexOf(key);
  return `${String(at < 0 ? USUAL.length : at).padStart(2, '0')}${key}`;
}

/** That all pods share and that stay, the best first. */
function lasting(pods: readonly Pod[]): [string, string][] {
  const [first, ...others] = pods;
  return Object.entries(first?.labels ?? {})
    .filter(([key, value]) => !CHANGING.has(key) && others.every(({ labels }) => labels[key] === value))
    .filter(([key]) => !CHANGES_WITH_RELEASES.has(key))
    .sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1));
}

/** One label, two, and so on: the better ones first. */
function* choices(labels: readonly (readonly [string, string])[]): Generator<Labels> {
  for (const one of labels) yield Object.fromEntries([one]);
  for (const [index, one] of labels.entries())
    for (const other of labels.slice(index + 1)) yield Object.fromEntries([one, other]);
  yield Object.fromEntries(labels);
}

/** Who learns names a pod for each thing that it did. */
function onceEach(pods: readonly Pod[]): Pod[] {
  const known = new Map<Labels, Set<string>>();
  return pods.filter(({ namespace, pod, labels, workload = '' }) => {
    const names = known.get(labels) ?? new Set<string>();
    known.set(labels, names);
    return names.size < names.add(`${namespace}/${pod}/${workload}`).size;
  });
}

/** Selections for the workloads of all these pods. */
export class Labelling {
  readonly #workloads: ReadonlyMap<string, readonly Pod[]>;
  readonly #known = new Map<string, PodSelection>();

  constructor(pods: readonly Pod[]) {
    this.#workloads = grouped(onceEach(pods).map((pod) => [workloadKey(pod), pod] as const));
  }

  of(pod: Pod): PodSelection {
    const key = workloadKey(pod);
    const known = this.#known.get(key) ?? this.#choose(key, pod);
    this.#known.set(key, known);
    return known;
  }

  #choose(key: string, pod: Pod): PodSelection {
    const pods = this.#workloads.get(key) ?? [pod];
    const labels = lasting(pods);
    const others = [...this.#workloads].filter(([it, [first]]) => it !== key && first?.namespace === pod.namespace);
    const alsoBy = (wanted: Labels) =>
      others.filter(([, theirs]) => theirs.some((it) => has(it.labels, wanted))).map(([it]) => it);
    if (labels.length === 0) {
      const names = [...new Set(pods.map((it) => it.pod))].filter((name) => name !== '').sort();
      return { matchLabels: {}, names, also: names.length > 0 ? [] : alsoBy({}) };
    }
    let least: PodSelection | undefined;
    for (const matchLabels of choices(labels)) {
      const also = alsoBy(matchLabels).sort();
      if (!least || also.length < least.also.length) least = { matchLabels, names: [], also };
      if (also.length === 0) break;
    }
    return least as PodSelection;
  }
}
