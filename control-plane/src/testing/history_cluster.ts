// SPDX-License-Identifier: Apache-2.0
//
// Generated clusters, for histories of what their containers did: replicas, releases, jobs, services; labels that tell workloads
// apart, that do not, and none.
import type { Service, WorldContainer, WorldNode } from '../policy/index.js';
import type { Random } from './random.js';

export const HOUR_US = 3600e6;
export const HOURS = 72;
export const START_US = Date.UTC(2026, 0, 5) * 1000;
export const END_US = START_US + HOURS * HOUR_US;
/** In the middle, replicas of the next release come, and those before it go an hour later. */
const RELEASE_HOUR = 36;
const JOB_HOURS = [2, 26, 50];
/** Of its containers agents do not tell who listens: those of one pod cannot be told apart by port. */
export const SILENT = 'pay';
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** Alive from one hour to another, this one left out. */
export interface MadeContainer extends WorldContainer {
  readonly cgroup: number;
  readonly fromHour: number;
  readonly untilHour: number;
}

/** Containers of one name of all replicas; jobs are done anew each time. */
export interface MadeWorkload {
  readonly namespace: string;
  readonly app: string;
  readonly containers: readonly MadeContainer[];
  readonly isJob: boolean;
  /** Where it listens. */
  readonly ports: readonly { readonly protocol: number; readonly port: number }[];
}

export const isAlive = ({ fromHour, untilHour }: MadeContainer, hour: number): boolean =>
  fromHour <= hour && hour < untilHour;
export const lives = ({ containers }: MadeWorkload): boolean => containers.some((it) => it.untilHour === HOURS);

interface Run {
  readonly pod: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly workload?: string;
  readonly image: string;
  readonly fromHour: number;
  readonly untilHour: number;
}

export class MadeCluster {
  readonly nodes: readonly WorldNode[] = [1, 2, 3].map((i) => ({
    name: `n${i}`,
    addresses: [`172.16.0.${i}`, `fd00:16::${i}`],
  }));
  readonly workloads: MadeWorkload[] = [];
  /** Kubernetes has told of them. */
  readonly services: Service[] = [];
  /** Nobody has: what is on record are their addresses, and what they were translated to. */
  readonly untold: Service[] = [];
  readonly #random: Random;
  #next = 1;

  constructor(random: Random) {
    this.#random = random;
    for (const namespace of ['shop', 'pay', 'ops']) {
      for (let i = 0; i < 4; i++) this.#deployment(namespace, `app${i}`);
      this.#cronJob(namespace);
    }
    this.#dns();
  }

  get containers(): MadeContainer[] {
    return this.workloads.flatMap((it) => it.containers);
  }

  #suffix(): string {
    return Array.from({ length: 5 }, () => this.#random.one([...LETTERS])).join('');
  }

  #add(namespace: string, app: string, names: readonly string[], runs: readonly Run[], isJob = false): void {
    const random = this.#random;
    const byName = new Map<string, MadeContainer[]>(names.map((name) => [name, []]));
    for (const run of runs) {
      const number = this.#next++;
      const addresses = [`10.1.${number >> 8}.${number & 255}`, `fd00:1::${number.toString(16)}`];
      const node = random.one(this.nodes).name;
      for (const name of names) {
        const cgroup = 1000 + 8 * number + names.indexOf(name);
        byName.get(name)?.push({ ...run, namespace, name, node, addresses, ports: [], cgroup });
      }
    }
    for (const [index, name] of names.entries()) {
      const ports = random.times(1, 3, (i) => ({ protocol: random.one([6, 6, 17]), port: 1000 + 10 * index + i }));
      this.workloads.push({ namespace, app, containers: byName.get(name) ?? [], isJob, ports });
    }
  }

  #deployment(namespace: string, app: string): void {
    const random = this.#random;
    const names = ['main', 'side', 'log'].slice(0, 1 + random.below(3));
    // Whose pods have no labels, each is a workload of its own.
    if (random.chance(0.1)) {
      const run = { pod: `${app}-alone`, labels: {}, image: `${app}:1`, fromHour: 0, untilHour: HOURS };
      this.#add(namespace, app, names, [run]);
      return;
    }
    const labels = {
      app: random.chance(0.2) ? 'shared' : app,
      ...(random.chance(0.5) && { tier: random.one(['a', 'b']) }),
    };
    const releases = random.chance(0.4)
      ? [
          { fromHour: 0, untilHour: RELEASE_HOUR + 1 },
          { fromHour: RELEASE_HOUR, untilHour: HOURS },
        ]
      : [{ fromHour: 0, untilHour: HOURS }];
    const runs = releases.flatMap((times, release) => {
      const hash = `${'abc'[release]}${random.below(90) + 10}`;
      const all = { ...labels, 'pod-template-hash': hash };
      return random.times(1, 3, () => {
        return { pod: `${app}-${hash}-${this.#suffix()}`, labels: all, image: `${app}:${release + 1}`, ...times };
      });
    });
    this.#add(namespace, app, names, runs);
    this.#service(namespace, app, random.chance(0.6) ? this.services : this.untold);
  }

  /** A pod for each run; what they belong to is known where Kubernetes was asked. */
  #cronJob(namespace: string): void {
    const told = this.#random.chance(0.5);
    const runs = JOB_HOURS.map((fromHour, i): Run => {
      const job = `report-2934${i}`;
      return {
        pod: `${job}-${this.#suffix()}`,
        labels: { app: 'report', 'job-name': job, 'batch.kubernetes.io/job-name': job },
        ...(told && { workload: 'report' }),
        image: 'report:1',
        fromHour,
        untilHour: fromHour + 2,
      };
    });
    this.#add(namespace, 'report', ['main'], runs, true);
  }

  #service(namespace: string, app: string, to: Service[]): void {
    const [workload] = this.workloads.filter((it) => it.namespace === namespace && it.app === app);
    const number = this.services.length + this.untold.length + 1;
    const replicas = workload?.containers.filter((it) => it.untilHour === HOURS) ?? [];
    to.push({
      namespace,
      name: app,
      addresses: [`10.96.0.${number}`, `fd00:96::${number}`],
      ports: (workload?.ports ?? []).map(({ protocol, port }, i) => {
        return { name: `p${i}`, protocol, port: 8000 + i, target: port };
      }),
      backends: replicas.flatMap((it) => it.addresses),
    });
  }

  #dns(): void {
    const labels = { 'k8s-app': 'kube-dns', 'pod-template-hash': 'd10' };
    const runs = [1, 2].map(
      (): Run => ({
        pod: `coredns-d10-${this.#suffix()}`,
        labels,
        image: 'coredns:1',
        fromHour: 0,
        untilHour: HOURS,
      }),
    );
    this.#add('kube-system', 'coredns', ['coredns'], runs);
    this.services.push({
      namespace: 'kube-system',
      name: 'kube-dns',
      addresses: ['10.96.0.250', 'fd00:96::250'],
      ports: [17, 6].map((protocol) => ({ name: `dns-${protocol}`, protocol, port: 53, target: 53 })),
      backends: this.workloads.at(-1)?.containers.flatMap((it) => it.addresses) ?? [],
    });
  }
}
