// SPDX-License-Identifier: Apache-2.0
//
// The answer of GET /v1/policies/drift, and each of its findings in one line.

interface PeerTime {
  readonly name: string;
  readonly first: string;
  readonly last: string;
}

export interface UnusedRule {
  readonly policy: string;
  readonly rule: string;
  readonly direction: string;
  readonly action: 'Accept' | 'Deny';
}

export interface NewFlow {
  readonly direction: string;
  readonly peer: string;
  readonly protocol: string;
  readonly port: number;
  readonly flows: number;
  readonly first: string;
  readonly last: string;
  readonly verdict: 'allowed' | 'denied' | 'audit' | 'unknown';
  readonly rule: string | null;
  readonly patched: boolean;
}

export interface Release {
  readonly container: string;
  readonly before: string;
  readonly now: string;
  readonly since: string;
  readonly known: number;
  readonly kept: number;
  readonly covered: number;
  readonly flows: readonly NewFlow[];
}

export interface MovedPeer {
  readonly container: string;
  readonly kind: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
  readonly before: PeerTime;
  readonly now: PeerTime;
  readonly instead: boolean;
}

export interface Answer {
  readonly coverage: { readonly first: string | null };
  readonly notes: readonly string[];
  readonly policies: number;
  readonly containers: number;
  readonly unusedSince: string;
  readonly unused: readonly UnusedRule[];
  readonly empty: readonly { readonly policy: string; readonly changed: string }[];
  readonly releases: readonly Release[];
  readonly peers: readonly MovedPeer[];
  readonly patches: readonly {
    readonly policy: string;
    readonly added: number;
    readonly removed: number;
    readonly yaml: string;
  }[];
}

export const KINDS = ['unused', 'empty', 'releases', 'peers'] as const;
export type Kind = (typeof KINDS)[number];

export interface Finding {
  readonly kind: Kind;
  /** The same for the same finding of a later answer. */
  readonly key: string;
  readonly text: string;
  readonly item: object;
}

export type TimeText = (time: string) => string;

export const withText = ({ direction, protocol, peer, port }: NewFlow): string =>
  `${direction === 'egress' ? '->' : '<-'} ${protocol} ${peer} ${port}`;

export const ruleText = ({ verdict, rule }: NewFlow): string =>
  rule === null ? (verdict === 'unknown' ? '(not judged)' : '(no policy)') : rule;

const flows = (count: number): string => (count === 1 ? '1 flow' : `${count.toLocaleString('en')} flows`);

/** What a Deny rule refuses need not happen, so its rest is no finding. */
export function findingsOf({ unused, unusedSince, empty, releases, peers }: Answer, time: TimeText): Finding[] {
  return [
    ...unused
      .filter(({ action }) => action === 'Accept')
      .map((it): Finding => {
        const key = `unused ${it.policy} ${it.rule}`;
        const text = `${it.policy}: nothing used the ${it.direction} rule ${it.rule} since ${time(unusedSince)}`;
        return { kind: 'unused', key, text, item: it };
      }),
    ...empty.map((it): Finding => {
      const text = `${it.policy} selected no container`;
      return { kind: 'empty', key: `empty ${it.policy}`, text, item: it };
    }),
    ...releases.flatMap(({ flows: all, ...release }) =>
      all.map((it): Finding => {
        const key = ['release', release.container, release.now, withText(it), it.verdict, ruleText(it)].join(' ');
        const what = `${withText(it)}, ${flows(it.flows)} from ${time(it.first)}`;
        const text = `${release.container} ${release.now} (before: ${release.before}): ${what}: ${it.verdict} ${ruleText(it)}`;
        return { kind: 'releases', key, text, item: { ...release, flow: it } };
      }),
    ),
    ...peers.map((it): Finding => {
      const key = ['peer', it.container, it.kind, it.to, it.protocol, it.port, it.now.name].join(' ');
      const where = `${it.kind} ${it.to} ${it.protocol} ${it.port}`;
      const text = `${it.container}: ${where} leads to ${it.now.name} ${it.instead ? 'instead of' : 'beside'} ${it.before.name}`;
      return { kind: 'peers', key, text, item: it };
    }),
  ];
}
