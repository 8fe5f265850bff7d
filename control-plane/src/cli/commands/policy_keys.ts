// SPDX-License-Identifier: Apache-2.0
import { EXIT } from '../../errors.js';
import type { Kind } from '../../policy/index.js';
import { CommandError } from '../client.js';

export const KEY =
  'NAMESPACE/NAME of a policy, cluster:NAME, networkpolicy:NAMESPACE/NAME, or observation:NAMESPACE/NAME';

const PREFIXES: readonly (readonly [prefix: string, kind: Kind])[] = [
  ['observation:', 'ContainerObservation'],
  ['cluster:', 'ClusterContainerPolicy'],
  ['networkpolicy:', 'NetworkPolicy'],
];

/** Where the API has it: "-" stands for no namespace. */
export function policyAt(key: string): { path: string; query: { kind: Kind } } {
  const [prefix, kind] = PREFIXES.find(([it]) => key.startsWith(it)) ?? ['', 'ContainerPolicy' as const];
  const parts = key.slice(prefix.length).split('/');
  if (parts.length > 2 || parts.includes('')) throw new CommandError(`${key}: write ${KEY}`, EXIT.usage);
  const [name = '', namespace = '-'] = parts.reverse();
  return { path: `/v1/policies/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`, query: { kind } };
}
