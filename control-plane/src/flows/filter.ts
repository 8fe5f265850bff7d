// SPDX-License-Identifier: Apache-2.0
//
// What a user asks for, read from the words of a query.
import { CellwallError } from '../errors.js';
import { parseNetwork } from '../policy/network.js';
import { DIRECTIONS, ENDS, FAILURES, PAYLOADS, PROTOCOLS, VERDICTS } from './record.js';
import { type WorkloadKind, workloadKind } from './workload.js';

export interface Peer {
  /** 128 bits, IPv4 mapped; undefined: any address. */
  readonly network: { address: bigint; prefix: number } | undefined;
  readonly port: number | undefined;
}

/** Parts of a container's name; each can hold "*". */
export interface ContainerPattern {
  readonly cgroupId?: string;
  readonly name?: string;
  readonly pod?: string;
  readonly namespace?: string;
}

/** What pods belong to; the name can hold "*". */
export interface WorkloadPattern {
  readonly kind?: WorkloadKind;
  readonly name: string;
}

/** One end of a flow: a container, or an address. */
export type Selector = { readonly container: ContainerPattern } | { readonly address: Peer };

/** All that is given must hold. */
export interface FilterPart {
  readonly container?: ContainerPattern | undefined;
  readonly namespace?: string | undefined;
  readonly workload?: WorkloadPattern | undefined;
  readonly pod?: string | undefined;
  readonly node?: string | undefined;
  readonly sinceUs?: number | undefined;
  readonly untilUs?: number | undefined;
  readonly verdict?: number | undefined;
  readonly direction?: number | undefined;
  readonly protocol?: number | undefined;
  readonly end?: number | undefined;
  readonly failure?: number | undefined;
  /** Numbers of PAYLOADS. */
  readonly payloads?: readonly number[] | undefined;
  readonly peer?: Peer | undefined;
  /** Of the server. */
  readonly port?: number | undefined;
  readonly service?: Peer | undefined;
  /** Domain name or SNI; can hold "*". */
  readonly name?: string | undefined;
  readonly from?: Selector | undefined;
  readonly to?: Selector | undefined;
}

export interface Filter extends FilterPart {
  /** None of these holds. */
  readonly not: readonly FilterPart[];
}

/** What flows are filtered by, one word each. */
export const FILTER_WORDS = [
  'container',
  'namespace',
  'workload',
  'pod',
  'node',
  'since',
  'until',
  'verdict',
  'direction',
  'protocol',
  'end',
  'failure',
  'payload',
  'plaintext',
  'peer',
  'port',
  'service',
  'name',
  'from',
  'to',
] as const;
export type FilterWord = (typeof FILTER_WORDS)[number];

export type FilterWords = Partial<Record<FilterWord, string | undefined>> & {
  readonly not?: string | readonly string[] | undefined;
};

function refuse(message: string): never {
  throw new CellwallError('invalid_filter', message);
}

const UNITS: Readonly<Record<string, number>> = { s: 1e6, m: 60e6, h: 3600e6, d: 86400e6 };

/** "2026-01-02T03:04:05Z", or "15m" for a quarter of an hour before nowUs. */
export function parseTime(text: string, nowUs: number, what: string): number {
  const ago = /^(\d{1,6})([smhd])$/.exec(text);
  if (ago) return nowUs - Number(ago[1]) * (UNITS[ago[2] ?? 's'] ?? 0);
  const time = /^\d{4}-\d{2}-\d{2}(T.*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time))
    refuse(`${what} "${text}" is not a time; write 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago`);
  return time * 1000;
}

/** An address, a network, address:port, [address]:port, or :port. */
export function parsePeer(text: string): Peer {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text);
  const v4 = /^([0-9.]+(?:\/\d{1,3})?):(\d{1,5})$/.exec(text);
  const portOnly = /^:(\d{1,5})$/.exec(text);
  const host = bracketed?.[1] ?? v4?.[1] ?? (portOnly ? undefined : text);
  const portText = bracketed?.[2] ?? v4?.[2] ?? portOnly?.[1];
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65535)) refuse(`peer "${text}": a port is 1 to 65535`);
  if (host === undefined) return { network: undefined, port };
  const network = parseNetwork(host);
  if (typeof network === 'string')
    refuse(`peer ${network}, with :PORT behind it if you like; IPv6 with a port as [fd00::1]:443`);
  return { network, port };
}

function parseContainer(text: string, what = 'container'): ContainerPattern {
  const cgroup = /^cgroup:(\d+)$/.exec(text);
  if (cgroup?.[1]) return { cgroupId: cgroup[1] };
  const parts = text.split('/');
  if (parts.some((part) => part === '') || parts.length > 3)
    refuse(
      `${what} "${text}": write NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER, or cgroup:ID; * stands for any text`,
    );
  const [name, pod, namespace] = parts.reverse();
  return { ...(name && { name }), ...(pod && { pod }), ...(namespace && { namespace }) };
}

function parseWorkload(text: string): WorkloadPattern {
  const [, word, name = ''] =
    /^(?:([^/]*)\/)?([^/]+)$/.exec(text) ?? refuse(`workload "${text}": write NAME or KIND/NAME`);
  if (word === undefined) return { name };
  const kind = workloadKind(word);
  if (!kind) refuse(`workload "${text}": "${word}" is none of deployment, statefulset, daemonset, job, cronjob, pod`);
  return { kind, name };
}

/** What looks like an address is one; everything else names containers. */
function parseSelector(text: string, what: string): Selector {
  const address = /^(\[.*|[0-9.]+(\/\d+)?(:\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:.]*(\/\d+)?|:\d+)$/.test(text);
  return address ? { address: parsePeer(text) } : { container: parseContainer(text, what) };
}

function parseService(text: string): Peer {
  const service = parsePeer(text);
  if (!service.network) refuse(`service "${text}": write ADDRESS or ADDRESS:PORT`);
  return service;
}

/** One address with a port. */
export function parseEndpoint(text: string): { address: bigint; port: number } {
  const { network, port } = parsePeer(text);
  if (network?.prefix !== 128 || port === undefined)
    refuse(`"${text}": write ADDRESS:PORT, such as 10.0.0.5:40123 or [fd00::5]:40123`);
  return { address: network.address, port };
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65535) refuse(`port "${text}": a port is 1 to 65535`);
  return port;
}

function parsePayloads(payload: string | undefined, plaintext: string | undefined): number[] | undefined {
  if (payload !== undefined)
    return [oneOf(['', ...PAYLOADS.slice(1).map((it) => it.name)], payload, 'payload') as number];
  if (plaintext === undefined) return undefined;
  if (plaintext !== 'true') refuse(`plaintext "${plaintext}": it is true or left out`);
  return PAYLOADS.flatMap((it, number) => (it.clear ? [number] : []));
}

function oneOf(words: readonly string[], text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  const number = words.indexOf(text);
  if (number < 0 || text === '') refuse(`${what} "${text}": it is one of ${words.filter((word) => word).join(', ')}`);
  return number;
}

export function parseProtocol(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = PROTOCOLS[text.toLowerCase()] ?? (/^\d{1,3}$/.test(text) ? Number(text) : 256);
  if (number > 255)
    refuse(`protocol "${text}": it is one of ${Object.keys(PROTOCOLS).join(', ')}, or a number from 0 to 255`);
  return number;
}

function parsePart(words: Partial<Record<FilterWord, string | undefined>>, nowUs: number): FilterPart {
  const given = <T>(name: FilterWord, parse: (text: string) => T): T | undefined => {
    const text = words[name];
    return text === undefined || text === '' ? undefined : parse(text);
  };
  const plain = (name: FilterWord) => given(name, (text) => text);
  return {
    container: given('container', parseContainer),
    namespace: plain('namespace'),
    workload: given('workload', parseWorkload),
    pod: plain('pod'),
    node: plain('node'),
    sinceUs: given('since', (text) => parseTime(text, nowUs, 'since')),
    untilUs: given('until', (text) => parseTime(text, nowUs, 'until')),
    verdict: oneOf(VERDICTS, plain('verdict'), 'verdict'),
    direction: oneOf(DIRECTIONS, plain('direction'), 'direction'),
    protocol: parseProtocol(plain('protocol')),
    end: oneOf(ENDS, plain('end'), 'end'),
    failure: oneOf(FAILURES, plain('failure'), 'failure'),
    payloads: parsePayloads(plain('payload'), plain('plaintext')),
    peer: given('peer', parsePeer),
    port: given('port', parsePort),
    service: given('service', parseService),
    name: given('name', (text) => text.toLowerCase().replace(/\.$/, '')),
    from: given('from', (text) => parseSelector(text, 'from')),
    to: given('to', (text) => parseSelector(text, 'to')),
  };
}

/** "verdict=denied": one part, to be left out. */
function parseNot(text: string, nowUs: number): FilterPart {
  const match = /^([a-z]+)=(.+)$/.exec(text);
  const word = FILTER_WORDS.find((known) => known === match?.[1]);
  if (!word || !match?.[2])
    refuse(`not "${text}": write FILTER=VALUE, such as verdict=denied; filters are ${FILTER_WORDS.join(', ')}`);
  return parsePart({ [word]: match[2] }, nowUs);
}

export function parseFilter({ not, ...words }: FilterWords, nowUs: number): Filter {
  const part = parsePart(words, nowUs);
  if (part.sinceUs !== undefined && part.untilUs !== undefined && part.sinceUs > part.untilUs)
    refuse('"since" is later than "until"');
  return { ...part, not: [not ?? []].flat().map((text) => parseNot(text, nowUs)) };
}

/** Where a page ended: at which row of which day file. */
export interface Cursor {
  readonly day: string;
  readonly id: number;
}

export function writeCursor(cursor: Cursor): string {
  return Buffer.from(`${cursor.day},${cursor.id}`).toString('base64url');
}

export function readCursor(text: string): Cursor {
  const match = /^(\d{4}-\d{2}-\d{2}),(\d{1,15})$/.exec(Buffer.from(text, 'base64url').toString());
  if (!match) refuse('the cursor is not one that this server gave; ask again without it');
  return { day: match[1] ?? '', id: Number(match[2]) };
}
