// SPDX-License-Identifier: Apache-2.0
import type { ContainerSpec } from './pods.js';

export interface NameServerSpec {
  readonly image?: string;
  /** Pairs of name and address; a name can have several. */
  readonly records: readonly (readonly [name: string, address: string])[];
  /** What else is asked for there is not there. */
  readonly zone?: string;
}

/** A dnsmasq that knows these names and asks nobody. */
export function nameServer({ image = 'localhost/web:1', records, zone }: NameServerSpec): ContainerSpec {
  return {
    name: 'names',
    image,
    command: [
      '/usr/sbin/dnsmasq',
      ...['--keep-in-foreground', '--user=root', '--group=root', '--pid-file=', '--conf-file=/dev/null'],
      ...['--no-resolv', '--no-hosts', ...(zone ? [`--local=/${zone}/`] : [])],
      ...records.map(([name, address]) => `--host-record=${name},${address},60`),
    ],
  };
}
