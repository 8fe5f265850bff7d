// SPDX-License-Identifier: Apache-2.0
//
// What the forms of other projects have in common. A rule that cannot be said there is left out, never made wider; what is lost is
// listed.
import {
  ICMP,
  ICMPV6,
  type Network,
  type Policy,
  type PortMatch,
  policyKey,
  type Requirement,
  type Selector,
  TCP,
  UDP,
} from '../model.js';

export interface Loss {
  /** "policy" or "policy:rule". */
  readonly where: string;
  readonly what: string;
}

export interface Exported {
  /** Plain objects, in the order of the policies. */
  readonly documents: readonly object[];
  readonly losses: readonly Loss[];
}

export type Labels = Readonly<Record<string, string>>;
/** As Kubernetes has it; {} selects all. */
export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: Requirement['operator'];
    readonly values?: readonly string[];
  }[];
}

export const NAMESPACE_LABEL = 'kubernetes.io/metadata.name';
const HIGHEST_PORT = 65_535;
const V4_PREFIX = 96;

/** Collects what one policy loses; the same is told once. */
export class Losses {
  readonly #found = new Map<string, Loss>();
  readonly #policy: string;

  constructor(policy: Policy) {
    this.#policy = policyKey(policy);
  }

  add(what: string, rule?: string): void {
    const where = rule === undefined ? this.#policy : `${this.#policy}:${rule}`;
    this.#found.set(`${where}\0${what}`, { where, what });
  }

  get all(): Loss[] {
    return [...this.#found.values()];
  }
}

export function labelSelector(requirements: readonly Requirement[], prefix = ''): LabelSelector {
  const single = requirements.filter(({ operator, values }) => operator === 'In' && values.length === 1);
  // A second requirement on a label needs a list: keys of a map are unique.
  const keys = new Set<string>();
  const simple = single.filter(({ key }) => !keys.has(key) && keys.add(key));
  const others = requirements.filter((it) => !simple.includes(it));
  return {
    ...(simple.length > 0 && {
      matchLabels: Object.fromEntries(simple.map(({ key, values }) => [prefix + key, values[0] as string])),
    }),
    ...(others.length > 0 && {
      matchExpressions: others.map(({ key, operator, values }) => ({
        key: prefix + key,
        operator,
        ...(values.length > 0 && { values }),
      })),
    }),
  };
}

export const namespaceSelector = (namespaces: readonly string[] | null): LabelSelector =>
  namespaces === null ? {} : labelSelector([{ key: NAMESPACE_LABEL, operator: 'In', values: namespaces }]);

/** Pods that a selector means, where containers cannot be told apart. null: more would be meant than the selector says. */
export function podsOf(selector: Selector, losses: Losses, rule?: string): Requirement[] | null {
  if (selector.podNames.length > 0 || selector.images.length > 0) {
    losses.add('pods by name and containers by image cannot be named: left out', rule);
    return null;
  }
  if (selector.namespaces?.includes('')) {
    losses.add('containers outside Kubernetes cannot be named: left out', rule);
    return null;
  }
  if (selector.containers.length > 0)
    losses.add(`the containers ${selector.containers.join(', ')} are not told from the others of their pods`, rule);
  return [...selector.podLabels];
}

export function cidr({ text, prefix, address }: Network): string {
  if (text.includes('/')) return text;
  const isV4 = address >> 32n === 0xffffn;
  return `${text}/${isV4 ? prefix - V4_PREFIX : prefix}`;
}

export interface Port {
  readonly protocol: 'TCP' | 'UDP';
  /** undefined: every port. */
  readonly first?: number;
  readonly last?: number;
  readonly name?: string;
}

const NAMES: Readonly<Record<number, Port['protocol']>> = { [TCP]: 'TCP', [UDP]: 'UDP' };
export const isIcmp = ({ protocol }: PortMatch): boolean => protocol === ICMP || protocol === ICMPV6;

export function transportPorts(ports: readonly PortMatch[]): Port[] {
  return ports.flatMap((it): Port[] => {
    const protocol = NAMES[it.protocol];
    if (!protocol) return [];
    if ('portName' in it) return [{ protocol, name: it.portName }];
    if (it.first <= 1 && it.last >= HIGHEST_PORT) return [{ protocol }];
    return [{ protocol, first: it.first, last: it.last }];
  });
}
