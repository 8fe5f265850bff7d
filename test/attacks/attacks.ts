// SPDX-License-Identifier: Apache-2.0
//
// Every attack, who may run it, and what must hold. Each has to get through while there is no policy: one that cannot work
// proves nothing.
import {
  ALLOWED,
  ALLOWED_NAME,
  ALLOWED_NAME_OF_SHARED,
  ALLOWED6,
  FORBIDDEN,
  FORBIDDEN6,
  LOCAL_PORT,
  OWNED_PORT,
  POD,
  POD6,
  PORT,
  RESOLVER,
  RESOLVER6,
  SHARED,
  TRIES,
} from './addresses.js';

export type User = 'root' | 'user';

/** What runs it: see scenarios.ts. */
export type Scenario =
  | 'exec'
  | 'host network'
  | 'multipath'
  | 'pod loopback'
  | 'held'
  | 'moved'
  | 'passed'
  | 'sub-cgroup'
  | 'named'
  | 'spoofed'
  | 'spoofed by a frame'
  | 'spoofed from another pod'
  | 'takeover'
  | 'restarted'
  | 'absent';

export interface Attack {
  readonly name: string;
  readonly program: string;
  readonly arguments: readonly string[];
  readonly users: readonly User[];
  /** "refused": not a packet arrives. Exceptions get through, and SECURITY.md names them. */
  readonly holds: 'refused' | { readonly exception: string };
  readonly scenario: Scenario;
  /** The container that it runs in; "jail" unless it needs more than that. */
  readonly container: 'jail' | 'raw' | 'admin' | 'crowded';
}

const BOTH: readonly User[] = ['root', 'user'];
const ROOT: readonly User[] = ['root'];

type Options = Partial<Omit<Attack, 'name' | 'program' | 'arguments'>>;

function attack(name: string, command: readonly string[], options: Options = {}): Attack {
  const [program = '', ...args] = command;
  return {
    name,
    program,
    arguments: args,
    users: BOTH,
    holds: 'refused',
    scenario: 'exec',
    container: 'jail',
    ...options,
  };
}

/** The same for IPv4 and IPv6. */
function both(name: string, command: (address: string, allowed: string) => string[], options: Options = {}): Attack[] {
  return [
    attack(name, command(FORBIDDEN, ALLOWED), options),
    attack(`${name}-v6`, command(FORBIDDEN6, ALLOWED6), options),
  ];
}

const mapped = (address: string) => `::ffff:${address}`;

const streams: Attack[] = [
  ...['connect', 'nonblocking', 'fastopen', 'fastopen-option', 'multipath'].flatMap((mode) =>
    both(`tcp-${mode}`, (address) => ['tcp_connect', mode, address, PORT]),
  ),
  attack('tcp-mapped', ['tcp_connect', 'connect', mapped(FORBIDDEN), PORT]),
  attack('tcp-fastopen-mapped', ['tcp_connect', 'fastopen', mapped(FORBIDDEN), PORT]),
  attack('tcp-later-subflow', ['tcp_subflow', ALLOWED, PORT], { scenario: 'multipath' }),
];

const datagrams: Attack[] = [
  ...['unconnected', 'connected', 'reconnected', 'mixed', 'corked', 'many', 'lite', 'lite-connected'].flatMap((mode) =>
    both(`udp-${mode}`, (address, allowed) => ['datagram', mode, address, PORT, allowed]),
  ),
  ...['unconnected', 'mixed', 'many'].map((mode) =>
    attack(`udp-${mode}-mapped`, ['datagram', mode, mapped(FORBIDDEN), PORT, mapped(ALLOWED)]),
  ),
  ...['unconnected', 'connected'].flatMap((mode) => both(`ping-${mode}`, (address) => ['ping', mode, address])),
];

const rings: Attack[] = ['connect', 'send'].flatMap((call) =>
  ['inline', 'async', 'polled'].flatMap((how) =>
    both(`io-uring-${call}-${how}`, (address) => ['io_uring', call, how, address, PORT]),
  ),
);

/** The kernel lets only those with CAP_NET_RAW ask for a source route; the first hop of a strict one has to be a neighbour. */
const options: Attack[] = [
  ...['tcp', 'udp'].map((protocol) =>
    attack(`source-route-option-${protocol}`, ['ip_options', protocol, 'option', FORBIDDEN, PORT, ALLOWED], {
      users: ROOT,
    }),
  ),
  attack('source-route-ancillary-udp', ['ip_options', 'udp', 'ancillary', FORBIDDEN, PORT, ALLOWED], { users: ROOT }),
  ...['tcp', 'udp'].flatMap((protocol) =>
    ['option', 'packet-options'].flatMap((how) =>
      ['segments', 'type2'].map((kind) =>
        attack(`routing-header-${kind}-${how}-${protocol}`, [
          'routing_header',
          protocol,
          how,
          kind,
          FORBIDDEN6,
          PORT,
          ALLOWED6,
        ]),
      ),
    ),
  ),
  ...['segments', 'type2'].map((kind) =>
    attack(`routing-header-${kind}-ancillary-udp`, [
      'routing_header',
      'udp',
      'ancillary',
      kind,
      FORBIDDEN6,
      PORT,
      ALLOWED6,
    ]),
  ),
];

const RAW = ['plain', 'header', 'fragments', 'late-fragment', 'source-route'];
const RAW6 = ['plain', 'header', 'fragment', 'routing-header'];
const PACKET = ['raw', 'cooked', 'ring'];

/** From a container whose policy refuses raw sockets, and from one whose policy lets it have them. */
const packets: Attack[] = (['jail', 'raw'] as const).flatMap((container) => {
  const prefix = container === 'jail' ? '' : 'let-';
  const more = { users: ROOT, container };
  return [
    ...RAW.map((mode) => attack(`${prefix}raw-${mode}`, ['raw', mode, FORBIDDEN, PORT, ALLOWED], more)),
    ...RAW6.map((mode) => attack(`${prefix}raw-${mode}-v6`, ['raw6', mode, FORBIDDEN6, PORT, ALLOWED6], more)),
    ...PACKET.map((mode) => attack(`${prefix}packet-${mode}`, ['packet', mode, FORBIDDEN, PORT, ALLOWED], more)),
  ];
});

const send = (address: string) => `/usr/local/bin/datagram unconnected ${address} ${PORT} ${address}`;
const NFT_EGRESS = `chain out { type filter hook egress device eth0 priority 0; ip daddr ${ALLOWED} ip daddr set ${FORBIDDEN}; }`;
const NFT_OUTPUT = `chain out { type nat hook output priority -100; ip daddr ${ALLOWED} dnat to ${FORBIDDEN}; }`;

/** With CAP_NET_ADMIN: what the socket asks for is allowed, and the container's own network turns it into something else. */
function network(name: string, prepare: string, then: string, undo: string): Attack {
  const command = ['/bin/sh', '-c', `${prepare} || exit 3; ${then}; code=$?; sleep 0.1; ${undo}; exit $code`];
  return attack(`own-${name}`, command, { users: ROOT, container: 'admin' });
}

const networks: Attack[] = [
  network(
    'vxlan',
    `/usr/sbin/ip link add attack0 type vxlan id 7 remote ${FORBIDDEN} dstport 4789 dev eth0 && /usr/sbin/ip link set attack0 up &&
     /usr/sbin/ip address add 192.168.77.1/24 dev attack0 && /usr/sbin/ip route add ${ALLOWED} dev attack0`,
    send(ALLOWED),
    '/usr/sbin/ip link delete attack0',
  ),
  attack('own-tun', ['tun', FORBIDDEN, PORT], { users: ROOT, container: 'admin' }),
  attack('own-tun-beside-neighbour', ['tun', FORBIDDEN, PORT], {
    users: ROOT,
    container: 'crowded',
    holds: { exception: 'what a pod forwards has no sender; beside a container without a policy it may be that one' },
  }),
  network('translation', `nft 'table ip attack { ${NFT_OUTPUT}; }'`, send(ALLOWED), 'nft delete table ip attack'),
  network('rewriting', `nft 'table netdev attack { ${NFT_EGRESS}; }'`, send(ALLOWED), 'nft delete table netdev attack'),
  network(
    'segment-route',
    `/usr/sbin/ip -6 route add ${ALLOWED6} encap seg6 mode encap segs ${FORBIDDEN6} dev eth0 via fd00:88::1`,
    send(ALLOWED6),
    `/usr/sbin/ip -6 route delete ${ALLOWED6}`,
  ),
];

const HANDED = ['connected-tcp', 'connected-udp', 'tcp', 'udp'];

const HANDED_CONNECTED = {
  exception: 'the neighbour made the socket and connected it; it might as well pass on what it is sent',
};
const MOVED = {
  exception: 'the socket was made outside of all containers; only root of the node moves a process between cgroups',
};

const sockets: Attack[] = [
  ...HANDED.map((mode) =>
    attack(`passed-${mode}`, ['pass', 'take', mode, `attack-${mode}`, FORBIDDEN, PORT], {
      scenario: 'passed',
      holds: mode.startsWith('connected') ? HANDED_CONNECTED : 'refused',
    }),
  ),
  ...['tcp', 'udp'].flatMap((protocol) =>
    (['held', 'moved'] as const).flatMap((scenario) =>
      both(`${scenario}-${protocol}`, (address) => ['held', protocol, address, PORT], {
        scenario,
        users: scenario === 'held' ? BOTH : ROOT,
        holds: scenario === 'held' ? 'refused' : MOVED,
      }),
    ),
  ),
  attack('sub-cgroup-tcp', ['tcp_connect', 'connect', FORBIDDEN, PORT], { scenario: 'sub-cgroup' }),
  attack('sub-cgroup-udp', ['datagram', 'unconnected', FORBIDDEN, PORT, ALLOWED], { scenario: 'sub-cgroup' }),
  attack('sub-cgroup-raw', ['raw', 'header', FORBIDDEN, PORT, ALLOWED], { scenario: 'sub-cgroup', users: ROOT }),
  ...['tcp', 'sendto', 'connect'].flatMap((mode) =>
    both(`race-${mode}`, (address, allowed) => ['race', mode, address, PORT, allowed, TRIES]),
  ),
];

const pods: Attack[] = [
  ...['127.0.0.1', '::1', '127.1.2.3', '0.0.0.0', POD, POD6].flatMap((address) => {
    const name = address.replace(/[{}]/g, '');
    return [
      attack(`pod-loopback-tcp-${name}`, ['tcp_connect', 'connect', address, LOCAL_PORT], { scenario: 'pod loopback' }),
      attack(`pod-loopback-udp-${name}`, ['datagram', 'unconnected', address, LOCAL_PORT, address], {
        scenario: 'pod loopback',
      }),
    ];
  }),
  attack('host-network-tcp', ['tcp_connect', 'connect', FORBIDDEN, PORT], { scenario: 'host network' }),
  attack('host-network-udp', ['datagram', 'unconnected', FORBIDDEN, PORT, ALLOWED], { scenario: 'host network' }),
  attack('host-network-raw', ['raw', 'header', FORBIDDEN, PORT, ALLOWED], { scenario: 'host network', users: ROOT }),
  attack('host-network-packet', ['packet', 'raw', FORBIDDEN, PORT, ALLOWED], {
    scenario: 'host network',
    users: ROOT,
    holds: { exception: 'a pod in the network of its node has no device of its own where the second wall could stand' },
  }),
];

const forge = (...args: string[]) => ['forge', ...args, ALLOWED_NAME, FORBIDDEN, PORT];
const forgeApart = (where: string) => ['forge_namespace', where, RESOLVER, ALLOWED_NAME, FORBIDDEN, PORT];

/** Nothing tells such a frame from one of the resolver: it comes by the pod's own device, from the resolver's address. */
const SPOOFING = {
  holds: { exception: 'who may send packet frames on the network (CAP_NET_RAW) can answer in the name of a resolver' },
} as const;
const SPOOFED: Readonly<Record<string, typeof SPOOFING>> = {
  'dns-spoofed-by-neighbour-frame': SPOOFING,
  'dns-spoofed-by-other-pod': SPOOFING,
};

const names: Attack[] = [
  attack('dns-forged-on-loopback', forge('bind', '127.0.0.1'), { scenario: 'named' }),
  attack('dns-forged-on-loopback-of-a-resolver', forge('bind', '127.0.0.11'), { scenario: 'named' }),
  attack('dns-forged-from-free-address', forge('free', '127.0.0.11'), { scenario: 'named' }),
  attack('dns-forged-from-free-address-of-the-resolver', forge('free', RESOLVER), { scenario: 'named' }),
  attack('dns-forged-from-free-address-of-the-resolver-v6', forge('free', RESOLVER6), { scenario: 'named' }),
  attack('dns-forged-transparently', forge('transparent', RESOLVER), { scenario: 'named', users: ROOT }),
  attack('dns-forged-raw', forge('raw', RESOLVER), { scenario: 'named', users: ROOT }),
  attack('dns-forged-in-own-namespace', forgeApart('loopback'), { scenario: 'named' }),
  attack('dns-forged-over-own-cable', forgeApart('cable'), { scenario: 'named' }),
  ...(
    [
      ['dns-spoofed-by-neighbour', 'spoofed'],
      ['dns-spoofed-by-neighbour-frame', 'spoofed by a frame'],
      ['dns-spoofed-by-other-pod', 'spoofed from another pod'],
    ] as const
  ).map(([name, scenario]) =>
    attack(name, ['lookup', RESOLVER, ALLOWED_NAME, FORBIDDEN, PORT], { scenario, ...SPOOFED[name] }),
  ),
  attack('dns-shared-address', ['lookup', RESOLVER, ALLOWED_NAME_OF_SHARED, SHARED, PORT], {
    scenario: 'named',
    holds: {
      exception: 'a name that is allowed and one that is not have the same address; the address is all that is seen',
    },
  }),
];

const takeovers: Attack[] = [
  ...['tcp', 'udp'].flatMap((protocol) => [
    attack(`takeover-shared-${protocol}`, ['takeover', protocol, 'shared', '0.0.0.0', OWNED_PORT], {
      scenario: 'takeover',
    }),
    attack(`takeover-specific-${protocol}`, ['takeover', protocol, 'shared', POD, OWNED_PORT], {
      scenario: 'takeover',
    }),
    attack(`takeover-absent-${protocol}`, ['takeover', protocol, 'shared', '0.0.0.0', OWNED_PORT], {
      scenario: 'absent',
    }),
    attack(`takeover-restarted-${protocol}`, ['takeover', protocol, 'shared', '0.0.0.0', OWNED_PORT], {
      scenario: 'restarted',
    }),
  ]),
  attack('takeover-reused-udp', ['takeover', 'udp', 'plain', '0.0.0.0', OWNED_PORT], { scenario: 'takeover' }),
];

export const ATTACKS: readonly Attack[] = [
  ...streams,
  ...datagrams,
  ...rings,
  ...options,
  ...packets,
  ...networks,
  ...sockets,
  ...pods,
  ...names,
  ...takeovers,
];

export const exceptions = (): Attack[] => ATTACKS.filter((it) => it.holds !== 'refused');
