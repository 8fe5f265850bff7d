// SPDX-License-Identifier: Apache-2.0
import ipaddr from 'ipaddr.js';
import type { Network } from './model.js';

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const V4_MAPPED = 0xffffn << 32n;

function toBits(bytes: readonly number[]): bigint {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  return bytes.length === 4 ? V4_MAPPED | bits : bits;
}

/** An address as 128 bits, IPv4 as ::ffff:a.b.c.d; undefined: not an address. Short forms such as 10.1 are none. */
export function addressBits(text: string): bigint | undefined {
  // Nearly all are: a large cluster has tens of thousands, and the library takes five times as long.
  if (IPV4.test(text)) return V4_MAPPED | BigInt(text.split('.').reduce((bits, part) => bits * 256 + Number(part), 0));
  if (!text.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  if (text.includes('%') || !ipaddr.isValid(text)) return undefined;
  return toBits(ipaddr.parse(text).toByteArray());
}

export function addressText(bits: bigint): string {
  const bytes: number[] = [];
  for (let shift = 120n; shift >= 0n; shift -= 8n) bytes.push(Number((bits >> shift) & 0xffn));
  if (bits >> 32n === 0xffffn) return bytes.slice(12).join('.');
  return ipaddr.fromByteArray(bytes).toString();
}

export function prefixMask(prefix: number): bigint {
  return prefix === 0 ? 0n : ((1n << BigInt(prefix)) - 1n) << BigInt(128 - prefix);
}

/** 16 bytes in network order. */
export function addressBytes(bits: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = Number((bits >> BigInt(120 - 8 * i)) & 0xffn);
  return bytes;
}

export function contains(
  outer: { address: bigint; prefix: number },
  inner: { address: bigint; prefix: number },
): boolean {
  return outer.prefix <= inner.prefix && (inner.address & prefixMask(outer.prefix)) === outer.address;
}

/** Reads "10.0.0.0/8", "fd00::/8" or a single address. Returns what is wrong as a sentence otherwise. */
export function parseNetwork(text: string): Network | string {
  const [address = '', length, ...rest] = text.split('/');
  const bits = addressBits(address);
  if (bits === undefined || rest.length > 0)
    return `"${text}" is not a network; write it as 10.0.0.0/8, fd00::/8 or a single address`;
  const isV4 = !address.includes(':');
  const most = isV4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length))
    return `"${text}": the prefix length must be a number from 0 to ${most}`;
  const given = length === undefined ? most : Number(length);
  if (given > most) return `"${text}": the prefix length must be a number from 0 to ${most}`;
  const prefix = isV4 ? given + 96 : given;
  const network = bits & prefixMask(prefix);
  if (network !== bits)
    return `"${text}" has bits set after the prefix; did you mean ${addressText(network)}/${given}?`;
  return { address: bits, prefix, text };
}

const known = (texts: readonly string[]) => texts.map((text) => parseNetwork(text) as Network);
export const LOOPBACK_NETWORKS: readonly Network[] = known(['127.0.0.0/8', '::1/128']);
export const LINK_LOCAL_NETWORKS: readonly Network[] = known(['169.254.0.0/16', 'fe80::/10']);

export function isWithin(networks: readonly Network[], address: bigint): boolean {
  return networks.some((network) => contains(network, { address, prefix: 128 }));
}
