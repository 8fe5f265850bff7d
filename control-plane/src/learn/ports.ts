// SPDX-License-Identifier: Apache-2.0
//
// The ports of a rule, as documents have them.

export interface PortUse {
  readonly protocol: number;
  readonly port: number;
}

export type ProtocolDocument =
  | Readonly<Record<'tcp' | 'udp', { destinationPort: { number: number } | { range: { start: number; end: number } } }>>
  | { readonly icmp: { readonly type: number } };

export interface Ports {
  readonly protocols: readonly ProtocolDocument[];
  /** Ports in them that were not used. */
  readonly unseen: number;
}

const NAMES: Readonly<Record<number, 'tcp' | 'udp'>> = { 6: 'tcp', 17: 'udp' };
const ICMP = new Set([1, 58]);

/** Rules can name the protocol. */
export const canBeNamed = (protocol: number): boolean => protocol in NAMES || ICMP.has(protocol);

/** Up to `most` ports of a protocol are named one by one; more are one range. */
export function summarizePorts(uses: readonly PortUse[], most: number): Ports {
  const protocols: ProtocolDocument[] = [];
  let unseen = 0;
  for (const number of [6, 17]) {
    const name = NAMES[number] as 'tcp';
    const ports = [...new Set(uses.filter((it) => it.protocol === number).map((it) => it.port))].sort((a, b) => a - b);
    const [first, last] = [ports[0] ?? 0, ports.at(-1) ?? 0];
    const documentOf = (destinationPort: object) => ({ [name]: { destinationPort } }) as ProtocolDocument;
    if (ports.length <= most) {
      protocols.push(...ports.map((port) => documentOf({ number: port })));
    } else {
      protocols.push(documentOf({ range: { start: first, end: last } }));
      unseen += last - first + 1 - ports.length;
    }
  }
  const types = [...new Set(uses.filter((it) => ICMP.has(it.protocol)).map((it) => it.port))].sort((a, b) => a - b);
  protocols.push(...types.map((type) => ({ icmp: { type } })));
  return { protocols, unseen };
}

/** The same for the same set of ports. */
export const portsKey = (uses: readonly PortUse[]): string =>
  [...new Set(uses.map((it) => `${ICMP.has(it.protocol) ? 1 : it.protocol}/${it.port}`))].sort().join(' ');
