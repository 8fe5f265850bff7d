// SPDX-License-Identifier: Apache-2.0
//
// A flow as it is stored, and as it is shown. Numbers are those of cellwall.v1.

export const VERDICTS = ['', 'allowed', 'denied', 'audit'] as const;
export const DIRECTIONS = ['', 'egress', 'ingress'] as const;
export const ENDS = ['open', 'closed', 'denied', 'failed', 'reset', 'idle'] as const;
export const LOOKUP_RESULTS = ['', 'answered', 'empty', 'not-found', 'failed', 'truncated', 'unreadable'] as const;
export const FAILURES = ['', 'refused', 'timed-out', 'unreachable', 'given-up'] as const;
export const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};
const BUILTIN_RULES = [
  '(no policy)',
  '(default allow)',
  '(incomplete rule set)',
  '(startup)',
  '(kind of socket)',
  '(port taken)',
];
const FLAG = { partial: 1, untracked: 4, older: 8 } as const;
const EGRESS = 1;

/** What a first payload showed. `clear`: whoever is on the way can read it. */
export const PAYLOADS: readonly { readonly name: string; readonly clear: boolean }[] = [
  { name: '', clear: false },
  { name: 'unknown', clear: false },
  { name: 'tls', clear: false },
  { name: 'http1', clear: true },
  { name: 'http2', clear: true },
  { name: 'ssh', clear: false },
  { name: 'postgres', clear: true },
  { name: 'postgres-tls', clear: false },
  { name: 'mysql', clear: true },
  { name: 'redis', clear: true },
  { name: 'kafka', clear: true },
  { name: 'quic', clear: false },
  { name: 'dns', clear: true },
];

/** By number in `kind`; the versions as they go over the wire (RFC 8446 section 4.1.2). */
export const TLS_VERSIONS = [0, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304] as const;
const TLS_NAMES = [null, 'SSL 3.0', '1.0', '1.1', '1.2', '1.3'] as const;

/** What a row has few values of, in one integer of 30 bits, so that a row stays below 100 bytes. */
export const KIND = {
  protocol: { shift: 0, mask: 0xff },
  direction: { shift: 8, mask: 3 },
  verdict: { shift: 10, mask: 3 },
  end: { shift: 12, mask: 7 },
  flags: { shift: 15, mask: 31 },
  failure: { shift: 20, mask: 7 },
  payload: { shift: 23, mask: 15 },
  /** Index into TLS_VERSIONS. */
  tls: { shift: 27, mask: 7 },
} as const;
export type KindPart = keyof typeof KIND;
export type Kind = Readonly<Record<KindPart, number>>;

/** Written out, as this is done for each row that comes in. */
export const packKind = (kind: Kind): number =>
  (kind.protocol << KIND.protocol.shift) |
  (kind.direction << KIND.direction.shift) |
  (kind.verdict << KIND.verdict.shift) |
  (kind.end << KIND.end.shift) |
  (kind.flags << KIND.flags.shift) |
  (kind.failure << KIND.failure.shift) |
  (kind.payload << KIND.payload.shift) |
  (kind.tls << KIND.tls.shift);

export function unpackKind(packed: number): Kind {
  const part = (name: KindPart) => (packed >> KIND[name].shift) & KIND[name].mask;
  return {
    protocol: part('protocol'),
    direction: part('direction'),
    verdict: part('verdict'),
    end: part('end'),
    flags: part('flags'),
    failure: part('failure'),
    payload: part('payload'),
    tls: part('tls'),
  };
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** "10.0.0.1:80", "[fd00::1]:80". */
export const endpointText = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** Egress: what the far side sees, and the backend. Ingress: the caller's own address, and what it asked for. */
export interface Translation {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** As the store gives it: names joined, addresses as text. `null` where the store does not know. */
export interface StoredFlow {
  readonly day: string;
  readonly id: number;
  readonly node: string;
  readonly cgroupId: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly image: string;
  readonly endUs: number;
  readonly durationUs: number | null;
  readonly kind: number;
  /** Flows that it stands for, which were alike but for times, counters and the caller's port. */
  readonly count: number;
  readonly local: string;
  readonly localPort: number;
  readonly remote: string;
  readonly remotePort: number;
  readonly sentBytes: number | null;
  readonly receivedBytes: number | null;
  readonly sentPackets: number;
  readonly receivedPackets: number;
  readonly rttUs: number;
  readonly retransmits: number;
  readonly rule: number;
  readonly rulePolicy: string | null;
  readonly ruleName: string | null;
  readonly generation: number;
  readonly processId: number;
  readonly processName: string;
  readonly translation: Translation | null;
  /** The domain name that the container had looked the remote address up by. */
  readonly name: string | null;
  /** SNI. */
  readonly serverName: string | null;
}

/** Who is at the other end. */
export interface Peer {
  readonly name: string;
  readonly namespace: string;
  readonly pod: string;
  /** '' when only the pod is known. */
  readonly container: string;
  readonly node: string;
  /** Of the flow at the other end. */
  readonly flow: string | null;
  /** conversation: both ends recorded this connection; listener: the container listens at that address and port; address: a pod
   * has that address, which of its containers is not known. */
  readonly how: 'conversation' | 'listener' | 'address';
}

/** Of a flow under the staged versions of policies. */
export interface Pending {
  readonly verdict: 'allowed' | 'audit' | 'denied';
  /** "policy:rule"; null: no rule is about it. */
  readonly rule: string | null;
}

export interface Flow {
  readonly id: string;
  readonly node: string;
  readonly container: {
    name: string;
    namespace: string;
    pod: string;
    container: string;
    cgroupId: string;
    image: string;
  };
  /** Flows that this record stands for: more than 1 when the node had no room for each. */
  readonly count: number;
  readonly direction: string;
  readonly protocol: string;
  readonly start: string | null;
  readonly end: string | null;
  readonly durationUs: number | null;
  readonly local: { address: string; port: number | null };
  /** Egress: as the container asked for it. Ingress: the caller. */
  readonly destination: Endpoint;
  readonly translated: Translation | null;
  /** May have been translated: connections are tracked where it passed, and its entry was gone. */
  readonly untracked: boolean;
  readonly name: string | null;
  readonly verdict: string;
  readonly rule: { policy: string | null; name: string; generation: number; display: string };
  /** null: no staged version of a policy is about it. */
  readonly pending: Pending | null;
  readonly sentBytes: number | null;
  readonly receivedBytes: number | null;
  readonly sentPackets: number | null;
  readonly receivedPackets: number | null;
  readonly rttUs: number | null;
  readonly retransmits: number;
  readonly endReason: string;
  readonly failure: string | null;
  /** null: was not looked at. */
  readonly payload: string | null;
  readonly plaintext: boolean;
  readonly tls: { version: string | null; serverName: string | null } | null;
  readonly process: { id: number; name: string } | null;
  readonly partial: boolean;
  /** Was open before Cellwall. */
  readonly older: boolean;
  readonly peer: Peer | null;
}

/** "namespace/pod/container", "container", or "cgroup:<id>" as long as it has no name. */
export function displayName(container: {
  namespace: string;
  pod: string;
  container: string;
  cgroupId: string;
}): string {
  if (container.container === '') return `cgroup:${container.cgroupId}`;
  return [container.namespace, container.pod, container.container].filter((part) => part !== '').join('/');
}

/** RFC 3339 with microseconds. */
export function timeText(us: number): string {
  const ms = Math.floor(us / 1000);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(us - ms * 1000).padStart(3, '0')}Z`;
}

/** Of a rule that is in no policy. */
export const builtinRule = (rule: number): string => BUILTIN_RULES[rule] ?? `rule ${rule}`;

/** "policy:rule", or one of ours in brackets. */
export function ruleDisplay(rule: number, policy: string | null, name: string | null): string {
  return BUILTIN_RULES[rule] ?? `${policy ?? '?'}:${name ?? `rule ${rule}`}`;
}

function ruleOf(stored: StoredFlow): Flow['rule'] {
  const builtin = BUILTIN_RULES[stored.rule];
  const name = builtin ?? stored.ruleName ?? `rule ${stored.rule}`;
  const display =
    ruleDisplay(stored.rule, stored.rulePolicy, stored.ruleName) + (builtin ? '' : `@${stored.generation}`);
  return { policy: builtin ? null : stored.rulePolicy, name, generation: stored.generation, display };
}

const orNull = (value: number): number | null => (value === 0 ? null : value);

export function protocolName(number: number): string {
  return Object.entries(PROTOCOLS).find(([, known]) => known === number)?.[0] ?? String(number);
}

export const isEgress = (stored: Pick<StoredFlow, 'kind'>): boolean => unpackKind(stored.kind).direction === EGRESS;

function tlsOf(kind: Kind, serverName: string | null): Flow['tls'] {
  const version = TLS_NAMES[kind.tls] ?? null;
  return version === null && serverName === null ? null : { version, serverName };
}

export const flowId = (stored: Pick<StoredFlow, 'day' | 'id'>): string => `${stored.day}-${stored.id}`;

export function toFlow(stored: StoredFlow, peer: Peer | null = null, pending: Pending | null = null): Flow {
  const kind = unpackKind(stored.kind);
  const open = kind.end === 0;
  const { namespace, pod, container, cgroupId, image } = stored;
  return {
    id: flowId(stored),
    node: stored.node,
    container: { name: displayName(stored), namespace, pod, container, cgroupId, image },
    count: stored.count,
    direction: DIRECTIONS[kind.direction] ?? '',
    protocol: protocolName(kind.protocol),
    start: stored.durationUs === null ? null : timeText(stored.endUs - stored.durationUs),
    end: open ? null : timeText(stored.endUs),
    durationUs: stored.durationUs,
    local: { address: stored.local, port: orNull(stored.localPort) },
    destination: { address: stored.remote, port: stored.remotePort },
    translated: stored.translation,
    untracked: (kind.flags & FLAG.untracked) !== 0,
    name: stored.name,
    verdict: VERDICTS[kind.verdict] ?? '',
    rule: ruleOf(stored),
    pending,
    sentBytes: stored.sentBytes,
    receivedBytes: stored.receivedBytes,
    sentPackets: orNull(stored.sentPackets),
    receivedPackets: orNull(stored.receivedPackets),
    rttUs: orNull(stored.rttUs),
    retransmits: stored.retransmits,
    endReason: ENDS[kind.end] ?? 'closed',
    failure: FAILURES[kind.failure] || null,
    payload: PAYLOADS[kind.payload]?.name || null,
    plaintext: PAYLOADS[kind.payload]?.clear ?? false,
    tls: tlsOf(kind, stored.serverName),
    process: stored.processId ? { id: stored.processId, name: stored.processName } : null,
    partial: (kind.flags & FLAG.partial) !== 0,
    older: (kind.flags & FLAG.older) !== 0,
    peer,
  };
}
