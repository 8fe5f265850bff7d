// SPDX-License-Identifier: Apache-2.0
//
// A flow as it is stored, and as it is shown. Numbers are those of cellwall.v1.

export const VERDICTS = ['', 'allowed', 'denied', 'audit'] as const;
export const DIRECTIONS = ['', 'egress', 'ingress'] as const;
export const ENDS = ['open', 'closed', 'denied', 'failed', 'reset', 'idle'] as const;
export const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };
const BUILTIN_RULES = ['(no policy)', '(default allow)', '(incomplete rule set)'];
const FLAG_PARTIAL = 1;

/** protocol, direction, verdict, end and flags in one integer, so that a row stays below 100 bytes. */
export interface Kind {
  readonly protocol: number;
  readonly direction: number;
  readonly verdict: number;
  readonly end: number;
  readonly flags: number;
}
export const KIND = {
  protocol: { shift: 0, mask: 0xff },
  direction: { shift: 8, mask: 3 },
  verdict: { shift: 10, mask: 3 },
  end: { shift: 12, mask: 7 },
  flags: { shift: 16, mask: 0xff },
} as const;

export function packKind(kind: Kind): number {
  return kind.protocol | (kind.direction << 8) | (kind.verdict << 10) | (kind.end << 12) | (kind.flags << 16);
}

export function unpackKind(packed: number): Kind {
  const part = (name: keyof typeof KIND) => (packed >> KIND[name].shift) & KIND[name].mask;
  return {
    protocol: part('protocol'),
    direction: part('direction'),
    verdict: part('verdict'),
    end: part('end'),
    flags: part('flags'),
  };
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
  readonly direction: string;
  readonly protocol: string;
  readonly start: string | null;
  readonly end: string | null;
  readonly durationUs: number | null;
  readonly local: { address: string; port: number | null };
  readonly destination: { address: string; port: number };
  readonly verdict: string;
  readonly rule: { policy: string | null; name: string; generation: number; display: string };
  readonly sentBytes: number | null;
  readonly receivedBytes: number | null;
  readonly sentPackets: number | null;
  readonly receivedPackets: number | null;
  readonly rttUs: number | null;
  readonly retransmits: number;
  readonly endReason: string;
  readonly process: { id: number; name: string } | null;
  readonly partial: boolean;
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

function ruleOf(stored: StoredFlow): Flow['rule'] {
  const builtin = BUILTIN_RULES[stored.rule];
  const name = builtin ?? stored.ruleName ?? `rule ${stored.rule}`;
  const display = builtin ?? `${stored.rulePolicy ?? '?'}:${name}@${stored.generation}`;
  return { policy: builtin ? null : stored.rulePolicy, name, generation: stored.generation, display };
}

const orNull = (value: number): number | null => (value === 0 ? null : value);

export function toFlow(stored: StoredFlow): Flow {
  const kind = unpackKind(stored.kind);
  const open = kind.end === 0;
  const protocol =
    Object.entries(PROTOCOLS).find(([, number]) => number === kind.protocol)?.[0] ?? String(kind.protocol);
  const { namespace, pod, container, cgroupId, image } = stored;
  return {
    id: `${stored.day}-${stored.id}`,
    node: stored.node,
    container: { name: displayName(stored), namespace, pod, container, cgroupId, image },
    direction: DIRECTIONS[kind.direction] ?? '',
    protocol,
    start: stored.durationUs === null ? null : timeText(stored.endUs - stored.durationUs),
    end: open ? null : timeText(stored.endUs),
    durationUs: stored.durationUs,
    local: { address: stored.local, port: orNull(stored.localPort) },
    destination: { address: stored.remote, port: stored.remotePort },
    verdict: VERDICTS[kind.verdict] ?? '',
    rule: ruleOf(stored),
    sentBytes: stored.sentBytes,
    receivedBytes: stored.receivedBytes,
    sentPackets: orNull(stored.sentPackets),
    receivedPackets: orNull(stored.receivedPackets),
    rttUs: orNull(stored.rttUs),
    retransmits: stored.retransmits,
    endReason: ENDS[kind.end] ?? 'closed',
    process: stored.processId ? { id: stored.processId, name: stored.processName } : null,
    partial: (kind.flags & FLAG_PARTIAL) !== 0,
  };
}
