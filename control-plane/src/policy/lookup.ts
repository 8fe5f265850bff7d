// SPDX-License-Identifier: Apache-2.0
//
// Looks compiled rule sets up as the agent and the kernel do (agent-bpf/bpf/policy.h), for tests of the compiler.
import {
  type CompiledRuleSet,
  type CompiledRuleSets,
  DIRECTION,
  LIFT,
  OWN_POD,
  type PortEntry,
  VERDICT,
} from './compile/compiled.js';
import type { Direction } from './model.js';
import { nameMatches } from './names.js';
import { addressBits, contains } from './network.js';

export interface Question {
  readonly direction: Direction;
  readonly address: string;
  readonly protocol: number;
  readonly port: number;
  readonly names?: readonly string[];
  /** The address is one of the container's own pod. */
  readonly ownPod?: boolean;
}

export interface Found {
  readonly verdict: number;
  readonly rule: number;
}

function bits(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function longestPeer(set: CompiledRuleSet, direction: number, address: bigint): number | undefined {
  let best: CompiledRuleSet['peers'][number] | undefined;
  for (const entry of set.peers) {
    if (entry.direction !== direction) continue;
    const holds = contains({ address: bits(entry.network), prefix: entry.prefixLength }, { address, prefix: 128 });
    if (holds && (!best || entry.prefixLength > best.prefixLength)) best = entry;
  }
  return best?.class;
}

function longestPort(set: CompiledRuleSet, number: number | undefined, protocol: number, port: number) {
  let best: { length: number; entry: PortEntry } | undefined;
  for (const entry of set.ports) {
    if (entry.class !== number) continue;
    const length = entry.portPrefixLength > 0 ? 40 + entry.portPrefixLength : entry.protocol ? 40 : 32;
    if (length >= 40 && entry.protocol !== protocol) continue;
    const shift = 16 - entry.portPrefixLength;
    if (entry.portPrefixLength > 0 && entry.port >> shift !== port >> shift) continue;
    if (!best || length > best.length) best = { length, entry };
  }
  return best?.entry;
}

export function identityOf({ addresses }: CompiledRuleSets, address: bigint, node: string): number {
  const found = addresses.findLast((it) => bits(it.address) === address);
  return found ? (found.node !== undefined && found.node === node ? (found.ownIdentity ?? 0) : found.identity) : 0;
}

function classOf(sets: CompiledRuleSets, set: CompiledRuleSet, question: Question, node: string): number | undefined {
  const address = addressBits(question.address) ?? 0n;
  const direction = DIRECTION[question.direction];
  const identity = identityOf(sets, address, node);
  const entry = (number: number) =>
    set.identities.find((it) => it.identity === number && it.direction === direction)?.class;
  const own = question.ownPod ? entry((identity | OWN_POD) >>> 0) : undefined;
  return own ?? (identity ? entry(identity) : undefined) ?? longestPeer(set, direction, address);
}

/** The longest pattern that a name fits, and what it accepts. */
function byName(set: CompiledRuleSet, name: string, { protocol, port }: Question): PortEntry | undefined {
  const fitting = set.names.filter((it) => nameMatches(it.name, name));
  const length = ({ name: pattern }: { name: string }) => (pattern.startsWith('*.') ? pattern.length - 1 : 1000);
  const longest = fitting.sort((a, b) => length(b) - length(a))[0];
  return longest && longestPort(set, longest.class, protocol, port);
}

function lifted(set: CompiledRuleSet, value: PortEntry, question: Question): Found | undefined {
  if (value.lift === LIFT.none) return undefined;
  for (const name of question.names ?? []) {
    const accepted = byName(set, name, question);
    if (!accepted || (value.lift === LIFT.enforced && accepted.verdict !== VERDICT.allowed)) continue;
    if (value.liftedRule) return { verdict: VERDICT.audit, rule: value.liftedRule };
    return { verdict: VERDICT.allowed, rule: accepted.rule };
  }
  return undefined;
}

/** undefined: the rule set has a hole. */
export function lookup(sets: CompiledRuleSets, set: CompiledRuleSet, question: Question, node = ''): Found | undefined {
  const value = longestPort(set, classOf(sets, set, question, node), question.protocol, question.port);
  if (!value) return undefined;
  return lifted(set, value, question) ?? { verdict: value.verdict, rule: value.rule };
}

/** The rule set of exactly these selectors. */
export function ruleSetOf({ ruleSets }: CompiledRuleSets, selectors: readonly number[]): CompiledRuleSet | undefined {
  return ruleSets.find(({ policies }) => policies.join() === selectors.join());
}

/** What an amendment makes of the rule sets before it. */
export function amended(
  before: CompiledRuleSets,
  amendment: import('./compile/compiled.js').CompiledAmendment,
): CompiledRuleSets {
  if (before.generation !== amendment.generation || before.revision !== amendment.baseRevision)
    throw new Error(`amendment of ${amendment.baseRevision}, not of ${before.revision}`);
  const gone = new Set([...amendment.removedAddresses, ...amendment.addresses.map((it) => it.address)].map(bits));
  return {
    ...before,
    revision: amendment.revision,
    ruleSets: [
      ...before.ruleSets.map((set) => {
        const addition = amendment.additions.find(({ id }) => id === set.id);
        if (!addition) return set;
        return {
          ...set,
          ports: [...set.ports, ...addition.ports],
          identities: [...set.identities, ...addition.identities],
        };
      }),
      ...amendment.ruleSets,
    ],
    addresses: [...before.addresses.filter((it) => !gone.has(bits(it.address))), ...amendment.addresses],
  };
}

/** What a difference makes of the rule sets before it. */
export function differing(
  before: CompiledRuleSets,
  difference: import('./compile/compiled.js').CompiledDifference,
): CompiledRuleSets {
  if (before.generation !== difference.baseGeneration || before.revision !== difference.baseRevision)
    throw new Error(`difference from ${difference.baseRevision}, not from ${before.revision}`);
  const { generation, revision, policies, ruleSets, removedRuleSets, addresses, removedAddresses } = difference;
  const replaced = new Set([...removedRuleSets, ...ruleSets.map(({ id }) => id)]);
  const gone = new Set([...removedAddresses, ...addresses.map((it) => it.address)].map(bits));
  const stays = [...before.sharedAddresses, ...before.addresses].filter((it) => !gone.has(bits(it.address)));
  return {
    generation,
    revision,
    policies: policies.length > 0 ? policies : before.policies,
    ruleSets: [...before.ruleSets.filter(({ id }) => !replaced.has(id)), ...ruleSets],
    addresses: [...stays, ...addresses],
    sharedAddresses: [],
  };
}
