// SPDX-License-Identifier: Apache-2.0
//
// node ── edge ── far. Edge has the address that is allowed and routes; whatever reaches far, or is sent to its networks, is an
// attack that got through.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Cleanup } from '../harness/cleanup.js';
import { POD_NETWORK_V4, POD_NETWORK_V6 } from '../harness/containerd.js';
import { NetworkNamespace } from '../harness/network.js';
import { ALLOWED, ALLOWED6, ANNOUNCED, FORBIDDEN_NETWORK, FORBIDDEN_NETWORK6, PORT } from './addresses.js';
import { program } from './programs.js';

/** Since the start, by the last 16 bits of the address. */
interface Counts {
  readonly packets: Readonly<Record<string, number>>;
  readonly resets: Readonly<Record<string, number>>;
  /** Packets that the counter had no room for. */
  readonly missed: number;
}

export interface Counted {
  readonly packets: number;
  /** TCP resets without a payload, which end what an older connection began. */
  readonly resets: number;
}

export class Receiver {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  /** namespace: arguments of nsenter. */
  constructor(namespace: readonly string[], args: readonly string[]) {
    this.#child = spawn('nsenter', [...namespace, program('receiver'), ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (!this.#child.stdout) throw new Error('the receiver has no output');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** One after the other: each line of input is one answer. */
  counts(): Promise<Counts> {
    const answer = this.#last.then(() => this.#ask());
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #ask(): Promise<Counts> {
    this.#child.stdin?.write('\n');
    const line = await this.#lines.next();
    if (line.done) throw new Error('the receiver ended');
    return JSON.parse(line.value) as Counts;
  }

  /** To all addresses. */
  async total(): Promise<number> {
    return Object.values((await this.counts()).packets).reduce((sum, it) => sum + it, 0);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}

interface Link {
  readonly from: NetworkNamespace;
  readonly to: NetworkNamespace;
  readonly names: readonly [string, string];
  readonly addresses: readonly [string, string];
  readonly addresses6: readonly [string, string];
}

function connect({ from, to, names, addresses, addresses6 }: Link): void {
  from.run('ip', ['link', 'add', names[0], 'type', 'veth', 'peer', 'name', names[1], 'netns', to.name]);
  for (const [index, end] of [from, to].entries()) {
    end.run('ip', ['address', 'add', `${addresses[index]}/28`, 'dev', names[index] ?? '']);
    end.run('ip', ['address', 'add', `${addresses6[index]}/64`, 'dev', names[index] ?? '', 'nodad']);
    end.run('ip', ['link', 'set', names[index] ?? '', 'up']);
  }
}

/** As routers are that do whatever a packet asks them for: the attack is the packet, and it has to be stopped before. */
function forwardAll(namespace: NetworkNamespace): void {
  for (const setting of [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.rp_filter=0',
    'net.ipv4.conf.default.rp_filter=0',
    'net.ipv4.conf.all.accept_source_route=1',
    'net.ipv4.conf.default.accept_source_route=1',
    'net.ipv6.conf.all.seg6_enabled=1',
    'net.ipv6.conf.default.seg6_enabled=1',
    'net.ipv6.conf.default.accept_dad=0',
  ])
    namespace.run('sysctl', ['-qw', setting]);
}

const address = (namespace: NetworkNamespace, ...list: string[]) => {
  for (const it of list)
    namespace.run('ip', ['address', 'add', it, 'dev', 'lo', ...(it.includes(':') ? ['nodad'] : [])]);
};

const route = (namespace: NetworkNamespace, to: string, via: string) =>
  namespace.run('ip', [to.includes(':') ? '-6' : '-4', 'route', 'add', to, 'via', via]);

export class Outside {
  readonly edge: NetworkNamespace;
  readonly far: NetworkNamespace;
  readonly #receivers: Receiver[];

  constructor(node: NetworkNamespace, cleanup: Cleanup) {
    this.edge = new NetworkNamespace(`cellwall-lab-edge-${process.pid}`);
    cleanup.add('the edge', () => this.edge.remove());
    this.far = new NetworkNamespace(`cellwall-lab-far-${process.pid}`);
    cleanup.add('the far side', () => this.far.remove());
    for (const it of [node, this.edge, this.far]) forwardAll(it);
    this.#connect(node);
    // A server may tell its multipath clients of any address.
    this.edge.run('ip', ['mptcp', 'limits', 'set', 'subflows', '4']);
    this.edge.run('ip', ['mptcp', 'endpoint', 'add', ANNOUNCED, 'signal']);
    this.#receivers = [
      new Receiver(this.edge.enter([]), ['edge0', PORT, FORBIDDEN_NETWORK, FORBIDDEN_NETWORK6]),
      new Receiver(this.far.enter([]), ['far0', PORT]),
    ];
    cleanup.add('receivers', () => {
      for (const it of this.#receivers) it.stop();
    });
  }

  #connect(node: NetworkNamespace): void {
    const { edge, far } = this;
    connect({
      from: node,
      to: edge,
      names: ['node0', 'edge0'],
      addresses: ['192.0.2.1', '192.0.2.2'],
      addresses6: ['2001:db8:1::1', '2001:db8:1::2'],
    });
    connect({
      from: edge,
      to: far,
      names: ['edge1', 'far0'],
      addresses: ['192.0.2.17', '192.0.2.18'],
      addresses6: ['2001:db8:2::1', '2001:db8:2::2'],
    });
    address(edge, `${ALLOWED}/32`, `${ALLOWED6}/128`);
    for (const network of [`${FORBIDDEN_NETWORK}/16`, `${FORBIDDEN_NETWORK6}/64`]) {
      const isV6 = network.includes(':');
      far.run('ip', [isV6 ? '-6' : '-4', 'route', 'add', 'local', network, 'dev', 'lo']);
      route(edge, network, isV6 ? '2001:db8:2::2' : '192.0.2.18');
    }
    for (const to of ['default', '::/0']) {
      route(node, to, to === 'default' ? '192.0.2.2' : '2001:db8:1::2');
      route(far, to, to === 'default' ? '192.0.2.17' : '2001:db8:2::1');
    }
    // Also what a tunnel of a container makes up.
    for (const to of [POD_NETWORK_V4, '192.168.0.0/16']) route(edge, to, '192.0.2.1');
    route(edge, POD_NETWORK_V6, '2001:db8:1::1');
  }

  /** What arrived at the addresses of that number since the start. */
  async arrived(number: number): Promise<Counted> {
    const counts = await Promise.all(this.#receivers.map((it) => it.counts()));
    if (counts.some((it) => it.missed > 0)) throw new Error('a counter was too slow');
    // Most packets pass both.
    const most = (what: 'packets' | 'resets') => Math.max(...counts.map((it) => it[what][number] ?? 0));
    return { packets: most('packets'), resets: most('resets') };
  }

  /** What arrived at any of them. */
  async total(): Promise<number> {
    return Math.max(...(await Promise.all(this.#receivers.map((it) => it.total()))));
  }
}
