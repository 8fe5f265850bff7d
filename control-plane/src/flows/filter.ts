// SPDX-License-Identifier: Apache-2.0
//
// What a user asks for, read from the words of a query.
import { CellwallError } from '../errors.js';
import { parseNetwork } from '../policy/index.js';
import { DIRECTIONS, ENDS, PROTOCOLS, VERDICTS } from './record.js';

export interface Peer {
  /** 128 bits, IPv4 mapped; undefined: any address. */
  readonly network: { address: bigint; prefix: number } | undefined;
  readonly port: number | undefined;
}

export interface Filter {
  readonly container: { cgroupId?: string; name?: string; namespace?: string; pod?: string } | undefined;
  readonly namespace: string | undefined;
  readonly pod: string | undefined;
  readonly node: string | undefined;
  readonly fromUs: number | undefined;
  readonly toUs: number | undefined;
  readonly verdict: number | undefined;
  readonly direction: number | undefined;
  readonly protocol: number | undefined;
  readonly end: number | undefined;
  readonly peer: Peer | undefined;
}

export type FilterWords = Partial<
  Record<
    'container' | 'namespace' | 'pod' | 'node' | 'from' | 'to' | 'verdict' | 'direction' | 'protocol' | 'end' | 'peer',
    string | undefined
  >
>;

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

function parseContainer(text: string): Filter['container'] {
  const cgroup = /^cgroup:(\d+)$/.exec(text);
  if (cgroup?.[1]) return { cgroupId: cgroup[1] };
  const parts = text.split('/');
  if (parts.some((part) => part === '') || parts.length > 3)
    refuse(`container "${text}": write NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER, or cgroup:ID`);
  const [name, pod, namespace] = parts.reverse();
  return { ...(name && { name }), ...(pod && { pod }), ...(namespace && { namespace }) };
}

function oneOf(words: readonly string[], text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  const number = words.indexOf(text);
  if (number < 0 || text === '') refuse(`${what} "${text}": it is one of ${words.filter((word) => word).join(', ')}`);
  return number;
}

function parseProtocol(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = PROTOCOLS[text.toLowerCase()] ?? (/^\d{1,3}$/.test(text) ? Number(text) : 256);
  if (number > 255) refuse(`protocol "${text}": it is tcp, udp or a number from 0 to 255`);
  return number;
}

export function parseFilter(words: FilterWords, nowUs: number): Filter {
  const given = (name: keyof FilterWords) => (words[name] === '' ? undefined : words[name]);
  const [container, from, to, peer] = [given('container'), given('from'), given('to'), given('peer')];
  const filter = {
    container: container === undefined ? undefined : parseContainer(container),
    namespace: given('namespace'),
    pod: given('pod'),
    node: given('node'),
    fromUs: from === undefined ? undefined : parseTime(from, nowUs, 'from'),
    toUs: to === undefined ? undefined : parseTime(to, nowUs, 'to'),
    verdict: oneOf(VERDICTS, given('verdict'), 'verdict'),
    direction: oneOf(DIRECTIONS, given('direction'), 'direction'),
    protocol: parseProtocol(given('protocol')),
    end: oneOf(ENDS, given('end'), 'end'),
    peer: peer === undefined ? undefined : parsePeer(peer),
  };
  if (filter.fromUs !== undefined && filter.toUs !== undefined && filter.fromUs > filter.toUs)
    refuse('"from" is later than "to"');
  return filter;
}

/** Where a page ended: in which day file, at which time and row. */
export interface Cursor {
  readonly day: string;
  readonly us: number;
  readonly id: number;
}

export function writeCursor(cursor: Cursor): string {
  return Buffer.from(`${cursor.day},${cursor.us},${cursor.id}`).toString('base64url');
}

export function readCursor(text: string): Cursor {
  const match = /^(\d{4}-\d{2}-\d{2}),(\d{1,17}),(\d{1,17})$/.exec(Buffer.from(text, 'base64url').toString());
  if (!match) refuse('the cursor is not one that this server gave; ask again without it');
  return { day: match[1] ?? '', us: Number(match[2]), id: Number(match[3]) };
}
