// SPDX-License-Identifier: Apache-2.0
//
// What drift is found in, and what it is.
import type { EffectInput } from '../../flows/effect.js';
import type { Direction, Verdict } from '../../policy/index.js';
import type { Coverage, CoverageInput } from '../coverage.js';

/** A container that was there in that time. */
export interface Lived {
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly image: string;
  /** JSON, as addresses. */
  readonly labels: string;
  readonly addresses: string;
  readonly firstUs: number;
}

export interface DriftEdge extends EffectInput {
  /** Who was at the far end at the first flow, where that is another pod than at the last. */
  readonly firstPeer?: EffectInput['peer'];
}

/** A rule that a policy has or had. */
export interface RuleRecord {
  readonly policy: string;
  readonly rule: string;
  /** 0: not known. */
  readonly createdUs: number;
  /** That it decided, in the time in question; null: it did not. */
  readonly lastUs: number | null;
}

export interface DriftHistory {
  readonly edges: readonly DriftEdge[];
  readonly containers: readonly Lived[];
  readonly coverage: CoverageInput;
  readonly rules: readonly RuleRecord[];
  /** From when on rules have to have been used, and the first flow that is on record since. */
  readonly unusedSinceUs: number;
  readonly unusedFirstUs: number | null;
}

/** A policy as it is stored. */
export interface StandingDocument {
  readonly key: string;
  readonly text: string;
  /** JSON. */
  readonly document: string;
  readonly createdUs: number;
  readonly updatedUs: number;
}

export interface UnusedRule {
  readonly policy: string;
  readonly rule: string;
  readonly direction: Direction;
  /** A Deny that nobody runs into does what it is for. */
  readonly action: 'Accept' | 'Deny';
}

export interface EmptyPolicy {
  readonly policy: string;
  readonly updatedUs: number;
}

export interface NewFlow {
  readonly direction: Direction;
  readonly peer: string;
  readonly protocol: number;
  readonly port: number;
  readonly flows: number;
  readonly firstUs: number;
  readonly lastUs: number;
  /** Of the policies in force now; unknown: somebody else has that address today, or there was too much to ask. */
  readonly verdict: Verdict | 'unknown';
  /** "policy:rule" that refuses it; null: no policy is about it. */
  readonly rule: string | null;
  /** The proposed patch accepts it. */
  readonly patched: boolean;
}

/** What a newer version of a workload container does that none before it did. */
export interface Release {
  readonly container: string;
  readonly before: string;
  readonly now: string;
  readonly sinceUs: number;
  /** Different connections: that the versions before made, and how many of them this one makes, too. */
  readonly known: number;
  readonly kept: number;
  /** New ones that a rule accepts already. */
  readonly covered: number;
  /** New ones that no rule accepts. */
  readonly flows: readonly NewFlow[];
}

export interface PeerTime {
  readonly name: string;
  readonly firstUs: number;
  readonly lastUs: number;
}

/** A name, service or address which led to another workload than before. */
export interface MovedPeer {
  readonly container: string;
  readonly kind: 'name' | 'service' | 'address';
  readonly to: string;
  readonly protocol: number;
  readonly port: number;
  readonly before: PeerTime;
  readonly now: PeerTime;
  /** It leads to the one before no more. */
  readonly instead: boolean;
}

export interface Patch {
  readonly policy: string;
  readonly added: number;
  readonly removed: number;
  readonly yaml: string;
}

export interface Drift {
  readonly coverage: Coverage;
  readonly unusedSinceUs: number;
  /** A sentence each. */
  readonly notes: readonly string[];
  /** Policies and containers that were looked at, and how many rules that nothing used are too young to be called unused. */
  readonly policies: number;
  readonly containers: number;
  readonly young: number;
  /** The record begins so late that no rule can be called unused; null: it does not. */
  readonly unusedFirstUs: number | null;
  readonly unused: readonly UnusedRule[];
  readonly empty: readonly EmptyPolicy[];
  readonly releases: readonly Release[];
  readonly peers: readonly MovedPeer[];
  readonly patches: readonly Patch[];
  /** That are left out. */
  readonly more: { readonly [K in 'unused' | 'empty' | 'releases' | 'peers' | 'patches']: number };
  /** Connections that there was no time to judge. */
  readonly unasked: number;
  /** Containers without a name, and their flows: no policy selects them, nothing is said of them. */
  readonly unnamed: { readonly containers: number; readonly flows: number };
}
