// SPDX-License-Identifier: Apache-2.0
//
// Generated histories: what the containers of a generated cluster did in three days, flow by flow, as agents record it. The same
// seed gives the same history, each time that it is gone through.
import { addressBits, addressBytes } from '../policy/network.js';
import type { SampleFlow } from './batches.js';
import {
  HOUR_US,
  HOURS,
  isAlive,
  lives,
  MadeCluster,
  type MadeContainer,
  type MadeWorkload,
  SILENT,
  START_US,
} from './history_cluster.js';
import { Random } from './random.js';

/** Why nobody should learn from a flow. */
export type Odd = 'denied' | 'one-off' | 'never-answered' | 'protocol';

export interface MadeFlow {
  readonly own: MadeContainer;
  readonly sample: SampleFlow;
  readonly direction: 'egress' | 'ingress';
  /** Of the far side. */
  readonly address: string;
  readonly port: number;
  readonly protocol: number;
  readonly name?: string;
  readonly odd: Odd | null;
  /** Who is meant: where the caller's kernel sees a service, and who has it on record or not. */
  readonly caller: MadeContainer | null;
  readonly called: MadeContainer | null;
  readonly calledPort: number;
}

/** What a workload container does again and again, to one peer at one port. */
interface Habit {
  readonly own: MadeWorkload;
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly port: number;
  readonly to:
    | {
        readonly kind: 'workload';
        readonly called: MadeWorkload;
        readonly service?: string;
        readonly record: 'both' | 'caller' | 'called';
      }
    | { readonly kind: 'outside'; readonly address: string; readonly name?: string }
    | { readonly kind: 'caller'; readonly address: string }
    | { readonly kind: 'own node' }
    | { readonly kind: 'loopback' };
  readonly servicePort?: number;
}

const [TCP, UDP, ICMP, SCTP, ICMPV6] = [6, 17, 1, 132, 58];
const [EGRESS, INGRESS] = [1, 2];
const [ALLOWED, DENIED] = [1, 2];
const [CLOSED, REFUSED, FAILED] = [1, 2, 3];
const ODD_PORTS: Readonly<Record<Odd, number>> = {
  denied: 30_000,
  'one-off': 31_000,
  'never-answered': 32_000,
  protocol: 33_000,
};
/** What happens once is done by who has been there for a day before, and is there for a while after. */
const ODD_HOURS = [30, 70] as const;
const EACH_ODD = 4;

const known = new Map<string, readonly number[]>();
function bytesOf(address: string): readonly number[] {
  let bytes = known.get(address);
  if (!bytes) {
    const all = [...addressBytes(addressBits(address) ?? 0n)];
    bytes = address.includes(':') ? all : all.slice(12);
    known.set(address, bytes);
  }
  return bytes;
}

const ofFamily = (addresses: readonly string[], family: 4 | 6): string =>
  addresses.find((it) => it.includes(':') === (family === 6)) ?? '';

function habitsOf(cluster: MadeCluster, random: Random): Habit[] {
  const habits: Habit[] = [];
  const called = cluster.workloads.filter((it) => lives(it) && it.namespace !== 'kube-system');
  const dns = cluster.workloads.find((it) => it.namespace === 'kube-system') as MadeWorkload;
  for (const own of cluster.workloads) {
    const family = () => (random.chance(0.3) ? 6 : 4);
    const add = (habit: Omit<Habit, 'own' | 'family'>, of: 4 | 6 = family()) =>
      habits.push({ own, family: of, ...habit });
    if (own !== dns)
      for (const protocol of random.chance(0.3) ? [UDP, TCP] : [UDP])
        add(
          {
            protocol,
            port: 53,
            servicePort: 53,
            to: { kind: 'workload', called: dns, service: 'kube-dns', record: 'both' },
          },
          4,
        );
    for (let i = 0; i < 2 + random.below(4); i++) {
      const kind = random.below(own.isJob ? 6 : 9);
      if (kind <= 2) {
        const other = random.one(called.filter((it) => it.namespace !== own.namespace || it.app !== own.app));
        const index = random.below(other.ports.length);
        const { protocol, port } = other.ports[index] as { protocol: number; port: number };
        const isServed = other.containers[0]?.name === 'main' && other.containers[0].pod !== `${other.app}-alone`;
        const alone = ({ namespace, app }: MadeWorkload) =>
          cluster.workloads.filter((it) => it.namespace === namespace && it.app === app).length === 1;
        // Between namespaces, an end that has nothing on record is known by the other one alone.
        const crosses = other.namespace !== own.namespace;
        const isTold = { both: true, caller: alone(other) || other.namespace !== SILENT, called: alone(own) };
        const found = random.one(['both', 'both', 'caller', 'called'] as const);
        const record = crosses && !isTold[found] ? 'both' : found;
        if (isServed && random.chance(0.5))
          add({
            protocol,
            port,
            servicePort: 8000 + index,
            to: { kind: 'workload', called: other, service: other.app, record: record === 'called' ? 'both' : record },
          });
        else add({ protocol, port, to: { kind: 'workload', called: other, record } });
      } else if (kind === 3) {
        const name = random.chance(0.5) ? `h${random.below(9)}.eu.example.com` : `api${random.below(5)}.example.net`;
        // Names lead to many addresses, each of which may be met once.
        for (let j = 0; j < 3; j++)
          add(
            { protocol: TCP, port: 443, to: { kind: 'outside', address: `203.0.113.${random.below(250)}`, name } },
            4,
          );
        add(
          { protocol: TCP, port: 443, to: { kind: 'outside', address: `2001:db8:113::${1 + random.below(99)}`, name } },
          6,
        );
      } else if (kind === 4) {
        const port = random.one([80, 5000 + random.below(20)]);
        for (let j = 0; j < 1 + random.below(12); j++)
          add(
            { protocol: TCP, port, to: { kind: 'outside', address: `198.51.${random.below(3)}.${random.below(250)}` } },
            4,
          );
      } else if (kind === 5) {
        const of = family();
        const address = of === 4 ? '192.0.2.200' : '2001:db8:200::1';
        add({ protocol: of === 4 ? ICMP : ICMPV6, port: of === 4 ? 8 : 128, to: { kind: 'outside', address } }, of);
      } else if (kind === 6) {
        for (let j = 0; j < 1 + random.below(8); j++)
          add({ protocol: TCP, port: 8080, to: { kind: 'caller', address: `192.0.2.${random.below(150)}` } }, 4);
      } else if (kind === 7) add({ protocol: TCP, port: 9090, to: { kind: 'own node' } });
      else add({ protocol: TCP, port: 6060, to: { kind: 'loopback' } }, 4);
    }
  }
  return habits;
}

export class MadeHistory {
  readonly cluster: MadeCluster;
  readonly #habits: readonly Habit[];
  readonly #seed: number;
  readonly #count: number;
  readonly #services: ReadonlyMap<string, readonly string[]>;

  constructor(seed: number, count: number) {
    const random = new Random(seed);
    this.#seed = seed;
    this.#count = count;
    this.cluster = new MadeCluster(random);
    this.#habits = habitsOf(this.cluster, random);
    const { services, untold } = this.cluster;
    this.#services = new Map([...services, ...untold].map((it) => [`${it.namespace}/${it.name}`, it.addresses]));
  }

  /** In the order of time; a few more than were asked for: each habit shows at least twice, hours apart. */
  *flows(): Iterable<MadeFlow> {
    const random = new Random(this.#seed + 1000);
    const done = new Map<Habit, { count: number; hour: number }>();
    const odd = this.#odd(random);
    for (let hour = 0; hour < HOURS; hour++) {
      const due = this.#habits.filter((it) => {
        const { count, hour: last } = done.get(it) ?? { count: 0, hour: -2 };
        return (count < 2 && hour >= last + 2) || hour === HOURS - 1;
      });
      const more = Array.from({ length: Math.ceil(this.#count / HOURS / 1.2) }, () => random.one(this.#habits));
      const all = [...due, ...more].flatMap((habit) => {
        const flows = this.#flowsOf(habit, hour, random);
        const { count } = done.get(habit) ?? { count: 0 };
        if (flows.length > 0) done.set(habit, { count: count + 1, hour });
        return flows;
      });
      for (const it of odd) if (it.hour === hour) all.push(it.flow);
      yield* all.sort((a, b) => a.sample.endUs - b.sample.endUs);
    }
  }

  #flowsOf(habit: Habit, hour: number, random: Random): MadeFlow[] {
    const { own: workload, family, protocol, port, to } = habit;
    const own = pick(workload, hour, random);
    if (!own) return [];
    const at = { own, hour, protocol, odd: null, caller: null, called: null, calledPort: 0 };
    const time = START_US + hour * HOUR_US + random.below(HOUR_US);
    if (to.kind === 'outside') return [flow({ ...at, ...to, direction: 'egress', port, caller: own }, time)];
    if (to.kind === 'caller')
      return [flow({ ...at, ...to, direction: 'ingress', port, called: own, calledPort: port }, time)];
    if (to.kind === 'loopback')
      return [flow({ ...at, direction: 'egress', address: '127.0.0.1', port, caller: own }, time)];
    if (to.kind === 'own node') {
      const node = this.cluster.nodes.find((it) => it.name === own.node);
      return [
        flow(
          {
            ...at,
            direction: 'ingress',
            address: ofFamily(node?.addresses ?? [], family),
            port,
            called: own,
            calledPort: port,
          },
          time,
        ),
      ];
    }
    // The backends of a service are those that it has today.
    const called = pick(to.called, to.service ? HOURS - 1 : hour, random);
    if (!called || !isAlive(called, hour) || called.pod === own.pod) return [];
    const ends = { caller: own, called, calledPort: port };
    const [from, target] = [ofFamily(own.addresses, family), ofFamily(called.addresses, family)];
    const service = to.service && ofFamily(this.#services.get(`${called.namespace}/${to.service}`) ?? [], family);
    const egress = flow(
      service
        ? {
            ...at,
            ...ends,
            direction: 'egress',
            address: service,
            port: habit.servicePort ?? 0,
            translated: { from, target, port },
          }
        : { ...at, ...ends, direction: 'egress', address: target, port },
      time,
    );
    const ingress = flow({ ...at, ...ends, own: called, direction: 'ingress', address: from, port }, time);
    if (to.record === 'both') return [egress, ingress];
    return to.record === 'caller' ? [egress] : [ingress];
  }

  /** What happens once, or comes to nothing, at ports of its own. */
  #odd(random: Random): { hour: number; flow: MadeFlow }[] {
    const doers = this.cluster.workloads.filter((it) => lives(it) && it.containers.some((one) => one.fromHour === 0));
    return (Object.keys(ODD_PORTS) as Odd[]).flatMap((odd) =>
      Array.from({ length: EACH_ODD }, (_, i) => {
        const hour = random.below(ODD_HOURS[1] - ODD_HOURS[0]) + ODD_HOURS[0];
        const own = pick(random.one(doers), hour, random) as MadeContainer;
        const address = `100.64.${Object.keys(ODD_PORTS).indexOf(odd)}.${i}`;
        const time = START_US + hour * HOUR_US + random.below(HOUR_US);
        const protocol = odd === 'protocol' ? SCTP : TCP;
        const ends = { caller: own, called: null, calledPort: 0 };
        return {
          hour,
          flow: flow({ own, ...ends, odd, protocol, direction: 'egress', address, port: ODD_PORTS[odd] + i }, time),
        };
      }),
    );
  }
}

function pick({ containers }: MadeWorkload, hour: number, random: Random): MadeContainer | undefined {
  const alive = containers.filter((it) => isAlive(it, hour));
  return alive.length > 0 ? random.one(alive) : undefined;
}

type Facts = Omit<MadeFlow, 'sample'> & { readonly translated?: { from: string; target: string; port: number } };

function flow({ translated, ...it }: Facts, endUs: number): MadeFlow {
  const isEgress = it.direction === 'egress';
  const local = ofFamily(it.own.addresses, it.address.includes(':') ? 6 : 4);
  const sample: SampleFlow = {
    cgroup: it.own.cgroup,
    endUs,
    durationUs: 1000,
    protocol: it.protocol,
    direction: isEgress ? EGRESS : INGRESS,
    verdict: it.odd === 'denied' ? DENIED : ALLOWED,
    end: it.odd === 'denied' ? REFUSED : it.odd === 'never-answered' ? FAILED : CLOSED,
    local: bytesOf(it.address === '127.0.0.1' ? '127.0.0.1' : local),
    localPort: isEgress ? 40_000 : it.port,
    remote: bytesOf(it.address),
    remotePort: isEgress ? it.port : 40_000,
    ...(it.name !== undefined && { name: it.name }),
    ...(translated && {
      source: [bytesOf(translated.from), 40_000],
      destination: [bytesOf(translated.target), translated.port],
    }),
  };
  return { ...it, sample };
}
